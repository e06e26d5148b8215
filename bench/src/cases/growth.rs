//! The cost of one more item with growing numbers, which should be constant.
//!
//! Measures the core alone, in memory, without the noise of sockets.

use std::time::Instant as Now;

use bytes::Bytes;
use postwire_proto::{Body, Envelope, ReplyLimits, ReplyReader};

use crate::Failure;
use crate::in_memory::{accepted, config, session};
use crate::job::{self, SENDER};
use crate::lab::Lab;
use crate::report::{Curve, Row, Section, median};

const SIZES: [usize; 9] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000];

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "growth",
        "Cost of one more as N grows, in the core alone",
        "ns each",
        "Messages (1 KiB, CHUNKING; with DATA), recipients of one message, lines of one reply; \
         server and client in memory. Linear growth is a flat line.",
    );
    let sizes = if lab.quick { &SIZES[..6] } else { &SIZES[..] };
    let rounds = lab.size(9, 3);
    type Work = fn(usize) -> Result<f64, Failure>;
    let works: [(&str, Work); 4] = [
        ("messages, CHUNKING", |n| messages(n, true)),
        ("messages, DATA", |n| messages(n, false)),
        ("recipients", recipients),
        ("reply lines", reply_lines),
    ];
    for (name, work) in works {
        let mut curve = Curve {
            plot: "Cost of one more as N grows, in the core alone (ns each)".to_owned(),
            name: name.to_owned(),
            points: Vec::new(),
        };
        for &n in sizes {
            let mut row = Row::new(name, &format!("N = {n}"));
            // Small cases are repeated, so that the clock can measure them.
            let repeats = (300 / n).max(1);
            for _ in 0..rounds {
                let mut tries = Vec::new();
                for _ in 0..repeats {
                    tries.push(work(n)? * 1e9 / n as f64);
                }
                row.samples.push(median(&tries));
            }
            curve.points.push((n as f64, row.median()));
            section.rows.push(row);
        }
        section.curves.push(curve);
    }
    section.rows.push(endless_reply()?);
    Ok(section)
}

fn timed(chunking: bool, letters: Vec<(Envelope, Bytes)>) -> Result<f64, Failure> {
    let config = config().chunking(chunking);
    let mut client = session(config, &["CHUNKING", "PIPELINING"]);
    let count = letters.len();
    let begun = Now::now();
    for (envelope, body) in letters {
        client.enqueue(envelope, Body::from(body));
    }
    let accepted = accepted(&mut client)?;
    let seconds = begun.elapsed().as_secs_f64();
    if accepted != count {
        return Err(format!("{accepted} of {count} messages were accepted").into());
    }
    Ok(seconds)
}

fn messages(count: usize, chunking: bool) -> Result<f64, Failure> {
    let envelope = Envelope::new(Some(SENDER.parse()?), vec!["bob@example.net".parse()?])?;
    let body = job::text(1024);
    let letters = (0..count).map(|_| (envelope.clone(), body.clone()));
    timed(chunking, letters.collect())
}

fn recipients(count: usize) -> Result<f64, Failure> {
    let all: Result<Vec<_>, _> = (0..count)
        .map(|n| format!("bob{n}@example.net").parse())
        .collect();
    let envelope = Envelope::new(Some(SENDER.parse()?), all?)?;
    timed(true, vec![(envelope, job::text(1024))])
}

fn reply_lines(count: usize) -> Result<f64, Failure> {
    let mut reply = b"250-a capability of the server\r\n".repeat(count - 1);
    reply.extend_from_slice(b"250 the last one\r\n");
    let limits = ReplyLimits::default()
        .line(2048)
        .lines(count)
        .bytes(reply.len());
    let mut reader = ReplyReader::new(limits);
    let begun = Now::now();
    let mut input = &reply[..];
    let found = reader.read(&mut input)?;
    let found = found.map(|reply| reply.text_lines().count());
    let seconds = begun.elapsed().as_secs_f64();
    if found != Some(count) {
        return Err("the reply was not found whole".into());
    }
    Ok(seconds)
}

/// Ten million lines of one reply, a segment at a time, with the default limits.
fn endless_reply() -> Result<Row, Failure> {
    const LINES: u64 = 10_000_000;
    let segment = b"250-more\r\n".repeat(128);
    let mut row = Row::new(
        "a reply of 10 million lines",
        "refused by the default limits",
    );
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let (mut lines, mut refused_after) = (0, None);
    let begun = Now::now();
    while lines < LINES {
        let refused = reader.read(&mut &segment[..]).is_err();
        lines += 128;
        if refused {
            refused_after.get_or_insert(lines);
        }
    }
    row.samples
        .push(begun.elapsed().as_secs_f64() * 1e9 / LINES as f64);
    let refused_after = refused_after.ok_or("it was not refused")?;
    row.count("refused within lines", refused_after as f64);
    Ok(row)
}
