//! The project's performance goals, checked against the measurements.
//!
//! Knows the bounds that the project sets itself. A bound that is not reached is reported, and
//! is not an error.

use crate::cases::sessions::IDLE_TLS;
use crate::cases::{micro, postfix, resumption};
use crate::clients::{
    BOLD, BOLD_DATA, CONNECTION, DATA, DEFAULT, LETTRE, LETTRE_BLOCKING, LETTRE_NO_STALL, RAW,
    SEND, SEND_BOLD, SEND_CAREFUL, SEND_CAREFUL_SMOL, SEND_DATA, SEND_SMOL, SEND_TOKIO, SMOL,
    STREAM,
};
use crate::report::{Row, Section};

/// A ratio and its bound.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) says: String,
    pub(crate) bound: f64,
    /// NaN if it was not measured.
    pub(crate) measured: f64,
    /// Whether smaller is better.
    pub(crate) at_most: bool,
}

impl Claim {
    pub(crate) fn holds(&self) -> bool {
        if self.at_most {
            self.measured <= self.bound
        } else {
            self.measured >= self.bound
        }
    }
}

fn at_least(says: impl Into<String>, bound: f64, measured: f64) -> Claim {
    Claim {
        says: says.into(),
        bound,
        measured,
        at_most: false,
    }
}

fn at_most(says: impl Into<String>, bound: f64, measured: f64) -> Claim {
    Claim {
        at_most: true,
        ..at_least(says, bound, measured)
    }
}

fn is_peer(row: &Row) -> bool {
    !row.who.starts_with("postwire") && row.who != RAW
}

fn is(name: &'static str) -> impl Fn(&Row) -> bool {
    move |row| row.who == name
}

/// How many times better `who` is than the best of `others` in a group.
fn over(section: &Section, group: &str, who: &str, others: impl Fn(&Row) -> bool) -> f64 {
    let Some(ours) = section.row(group, who) else {
        return f64::NAN;
    };
    let rows = section.rows.iter();
    rows.filter(|row| row.group == group && others(row))
        .map(|other| section.ratio(ours, other))
        .fold(f64::NAN, f64::min)
}

/// The share of the lower bound's speed that `who` reaches in a group.
fn of_floor(section: &Section, group: &str, who: &str, floor: &str) -> f64 {
    match (section.row(group, who), section.row(group, floor)) {
        (Some(ours), Some(floor)) => section.ratio(ours, floor),
        _ => f64::NAN,
    }
}

fn count(section: &Section, group: &str, who: &str, name: &str) -> f64 {
    let row = section.row(group, who);
    row.and_then(|row| row.counts.get(name).copied())
        .unwrap_or(f64::NAN)
}

/// Checks every goal that these sections allow to check.
pub(crate) fn judge(sections: &[Section]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for section in sections.iter().filter(|section| section.failure.is_none()) {
        match section.case.as_str() {
            "fresh" => fresh(section, &mut claims),
            "many" => many(section, &mut claims),
            "concurrent" => concurrent(section, &mut claims),
            "large" => large(section, &mut claims),
            "memory" => memory(section, &mut claims),
            "counts" => counts(section, &mut claims),
            "micro" => of_micro(section, &mut claims),
            "idle" => idle(section, &mut claims),
            "sessions" => of_sessions(section, &mut claims),
            "resumption" => of_resumption(section, &mut claims),
            "postfix" => of_postfix(section, &mut claims),
            _ => {}
        }
    }
    claims
}

fn fresh(section: &Section, claims: &mut Vec<Claim>) {
    let group = "TLS, 20 ms";
    let flights = |row: &Row| row.counts.get("flights").copied().unwrap_or(f64::NAN);
    let peers = section
        .rows
        .iter()
        .filter(|row| row.group == group && is_peer(row));
    let fewest = peers.map(flights).fold(f64::NAN, f64::min);
    let ours = count(section, group, DEFAULT, "flights");
    claims.push(at_most(
        "fresh TLS connection with AUTH: flights, against the fewest of the peers",
        fewest,
        ours,
    ));
    claims.push(at_least(
        "fresh TLS connection with AUTH at 20 ms: times the fastest peer",
        1.0,
        over(section, group, DEFAULT, is_peer),
    ));
}

fn concurrent(section: &Section, claims: &mut Vec<Claim>) {
    let time = |group: &str, who: &str| section.row(group, who).map_or(f64::NAN, Row::median);
    let (one, eight, fifty) = (
        "20 ms, 1 connection",
        "20 ms, 8 connections",
        "20 ms, 50 connections",
    );
    let lettre = time(fifty, LETTRE);
    let mut claim = |says: &str, bound, ours: f64, theirs: f64| {
        claims.push(at_most(
            format!("50 senders at 20 ms: {says}"),
            bound,
            ours / theirs,
        ));
    };
    let ours = time(eight, SEND_SMOL);
    claim(
        "8 connections, of the time of lettre's 50",
        1.0,
        ours,
        lettre,
    );
    let held = time(eight, LETTRE);
    claim("8 connections, of the time of lettre's 8", 0.2, ours, held);
    let ours = time(fifty, SEND_SMOL);
    claim(
        "50 connections, of the time of lettre's 50",
        0.25,
        ours,
        lettre,
    );
    let ours = time(one, SEND_BOLD);
    claim(
        "bold, 1 connection, of the time of lettre's 50",
        0.12,
        ours,
        lettre,
    );
    let ours = time(eight, SEND_DATA);
    claim(
        "PIPELINING only, 8 connections, of the time of lettre's 8",
        0.4,
        ours,
        held,
    );
    for who in [SEND, SEND_SMOL, SEND_TOKIO] {
        claims.push(at_least(
            format!("50 senders at 0 ms, {who}, 8 connections: times the fastest peer with 50"),
            3.0,
            section
                .rows
                .iter()
                .filter(|row| row.group == "0 ms, 50 connections" && is_peer(row))
                .map(Row::median)
                .fold(f64::NAN, f64::min)
                / time("0 ms, 8 connections", who),
        ));
    }
}

fn many(section: &Section, claims: &mut Vec<Claim>) {
    let far = "plaintext, 20 ms";
    let per_message =
        |who| count(section, far, who, "flights") / count(section, far, who, "messages");
    for (says, who, most) in [
        ("flights a message, CHUNKING", DEFAULT, 1.1),
        ("flights a message, PIPELINING only", DATA, 2.1),
        ("flights a message, bold, CHUNKING", BOLD, 0.1),
        ("flights a message, bold, PIPELINING only", BOLD_DATA, 1.1),
    ] {
        claims.push(at_most(says, most, per_message(who)));
    }
    claims.push(at_least(
        "20 ms, CHUNKING: times the fastest peer",
        1.9,
        over(section, far, DEFAULT, is_peer),
    ));
    claims.push(at_least(
        "20 ms, PIPELINING only: times the fastest peer",
        0.95,
        over(section, far, DATA, is_peer),
    ));
    for peer in ["lettre blocking", "mail-send"] {
        let says = format!("20 ms, PIPELINING only: times {peer} as it comes");
        claims.push(at_least(says, 2.5, over(section, far, DATA, is(peer))));
    }
    claims.push(at_least(
        "20 ms, bold, CHUNKING: times the fastest peer",
        20.0,
        over(section, far, BOLD, is_peer),
    ));
    claims.push(at_least(
        "20 ms, bold, PIPELINING only: times async-smtp",
        1.9,
        over(section, far, BOLD_DATA, is("async-smtp")),
    ));
    for (group, chunking, pipelining) in [("plaintext, 0 ms", 8.0, 2.0), ("TLS, 0 ms", 4.0, 2.0)] {
        for (who, says) in [(DEFAULT, "CHUNKING"), (DATA, "PIPELINING only")] {
            claims.push(at_least(
                format!("{group}, {says}: times the fastest peer"),
                1.5,
                over(section, group, who, is_peer),
            ));
        }
        claims.push(at_least(
            format!("{group}, bold, CHUNKING: times the fastest peer"),
            chunking,
            over(section, group, BOLD, is_peer),
        ));
        claims.push(at_least(
            format!("{group}, bold, PIPELINING only: times the fastest peer"),
            pipelining,
            over(section, group, BOLD_DATA, is_peer),
        ));
    }
    let ratio = of_floor(section, "plaintext, 0 ms", BOLD, RAW);
    claims.push(at_least(
        "plaintext, 0 ms, bold, CHUNKING: of the raw floor",
        0.6,
        ratio,
    ));
}

fn large(section: &Section, claims: &mut Vec<Claim>) {
    for (group, bound) in [("256 MiB, plaintext", 0.8), ("256 MiB, TLS", 0.9)] {
        let ratio = of_floor(section, group, DEFAULT, RAW);
        claims.push(at_least(format!("{group}: of the raw floor"), bound, ratio));
    }
}

fn memory(section: &Section, claims: &mut Vec<Claim>) {
    for group in ["25 MiB", "256 MiB"] {
        let peak = section.row(group, STREAM).map_or(f64::NAN, Row::median);
        claims.push(at_most(
            format!("peak memory of a streamed body of {group}, in MiB"),
            16.0,
            peak,
        ));
    }
}

/// The two allocations of a report are its recipients and the reply.
fn counts(section: &Section, claims: &mut Vec<Claim>) {
    let row = section.row("plaintext", DEFAULT);
    let allocations = row.map_or(f64::NAN, Row::median);
    claims.push(at_most(
        "allocations for a further message: the report's two",
        2.1,
        allocations,
    ));
}

fn of_micro(section: &Section, claims: &mut Vec<Claim>) {
    for group in ["a reply of one line", "a reply of ten lines"] {
        let peers = |row: &Row| is_peer(row) && !row.who.contains("memchr");
        let ratio = over(section, group, micro::POSTWIRE, peers);
        claims.push(at_least(
            format!("{group}: times the fastest peer"),
            2.0,
            ratio,
        ));
    }
    let group = "scan and dot-stuffing, lines of 78";
    let ratio = of_floor(section, group, micro::POSTWIRE, micro::MEMCHR);
    claims.push(at_least(
        "scan and dot-stuffing of a body without dots: of memchr's pass",
        0.5,
        ratio,
    ));
}

fn idle(section: &Section, claims: &mut Vec<Claim>) {
    let group = "over sockets, TLS";
    let held = |who| section.row(group, who).map_or(f64::NAN, Row::median);
    claims.push(at_most(
        "memory of an idle TLS session over a socket, of that of lettre's connection",
        1.0,
        held(CONNECTION) / held(LETTRE_BLOCKING),
    ));
}

fn of_sessions(section: &Section, claims: &mut Vec<Claim>) {
    let held = |who| section.row(IDLE_TLS, who).map_or(f64::NAN, Row::median);
    claims.push(at_most(
        "memory of each of thousands of idle TLS sessions, of that of lettre's on tokio",
        1.0,
        held(SMOL) / held(LETTRE_NO_STALL),
    ));
}

fn of_resumption(section: &Section, claims: &mut Vec<Claim>) {
    for [first, second] in resumption::GROUPS {
        for what in ["octets", "client CPU µs"] {
            let of = |group| count(section, group, DEFAULT, what);
            claims.push(at_most(
                format!("{second} connection: {what}, of the first one's"),
                0.9,
                of(second) / of(first),
            ));
        }
    }
}

fn of_postfix(section: &Section, claims: &mut Vec<Claim>) {
    // Without the programs of Postfix there is nothing to compare.
    if section.rows.is_empty() {
        return;
    }
    for (senders, who) in [
        (1, SEND_CAREFUL),
        (50, SEND_CAREFUL),
        (50, SEND_CAREFUL_SMOL),
    ] {
        let group = postfix::group(senders);
        claims.push(at_least(
            format!("{group}, {who}: times smtp-source"),
            1.0,
            over(section, &group, who, is(postfix::SMTP_SOURCE)),
        ));
    }
}
