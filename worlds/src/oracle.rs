//! What a world may hold against the client: which dialects mislead it, which rules always hold,
//! and the text about a world that broke one.

use std::fmt::Write as _;

use postwire_proto::Pipelining;
use postwire_reference::{
    AfterClosing, Bdat, Closing, Dialect, LmtpFinals, Misleading, Offence, Protocol, Recorder,
    Reported, Rset, Sent,
};

/// Whether the client promises the truth about what this dialect does.
pub fn is_safe(dialect: &Dialect, pipelining: Pipelining) -> bool {
    let bold = pipelining == Pipelining::Bold;
    let goes_on = |closing: Closing| closing.then == AfterClosing::Continue;
    if bold && (matches!(dialect.rset, Rset::Refused(_)) || dialect.closing.is_some_and(goes_on)) {
        // The next message follows RSET before its reply. That may be a 421 behind which the
        // server goes on, although it has to close (RFC 5321 §3.8).
        return false;
    }
    if dialect.protocol == Protocol::Lmtp && dialect.closing.is_some_and(goes_on) {
        // A 421 counts for the recipients that get no reply behind it.
        return false;
    }
    let pipelines = pipelining != Pipelining::Off;
    dialect.misleading().iter().all(|way| match way {
        Misleading::MissingReply
        | Misleading::ContentForNobody
        | Misleading::OpenTransaction
        | Misleading::FarewellForContent => !bold,
        // Who reads the first chunk, and a later one not, carries it out.
        Misleading::UnreadChunk => {
            !bold && matches!(dialect.bdat, Bdat::Refused | Bdat::Unknown | Bdat::Accepted)
        }
        // Nothing follows the end of a content, and no content its DATA.
        Misleading::DroppedInput => !pipelines || (!bold && !dialect.drops_after_error),
        // LMTP's verdicts wait for the reply to a later command.
        Misleading::SurplusReply => {
            !bold && dialect.surplus_after.is_none() && dialect.second_greeting.is_none()
        }
    })
}

/// Whether this dialect answers everything that a careful client asks, so that such a client never
/// waits until a deadline.
pub fn answers_everything(dialect: &Dialect, pipelining: Pipelining) -> bool {
    is_safe(dialect, pipelining)
        && pipelining != Pipelining::Bold
        && dialect.vanish_at.is_none()
        && dialect.vanish_after_taking.is_none()
        && dialect.half_close_at.is_none()
        && dialect.closing.is_none()
        && dialect.lmtp_finals == LmtpFinals::EachRecipient
        && !dialect.drops_after_error
}

/// The messages for the judge, to servers of this protocol.
pub fn sent_by<'a>(sent: impl Iterator<Item = &'a Sent>, protocol: Protocol) -> Vec<Sent> {
    let adapted = |sent: &Sent| Sent {
        // An LMTP server decides for each recipient after the content (RFC 2033 §4.2).
        all_or_nothing: sent.all_or_nothing && protocol == Protocol::Smtp,
        ..sent.clone()
    };
    sent.map(adapted).collect()
}

/// Checks that the client did nothing that no client may do, as far as the server can tell.
///
/// # Errors
///
/// The offences, in words.
pub fn check_offences(server: &Recorder) -> Result<(), String> {
    let own = server.misled_after().unwrap_or(usize::MAX);
    let offences: Vec<&Offence> = server.offences().iter().take(own).collect();
    if offences.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the client did what no client may do: {offences:?}"
    ))
}

/// What differs from the textbook server.
pub fn describe_dialect(dialect: &Dialect) -> String {
    let mut text = format!("misleading: {:?}\n", dialect.misleading());
    let default = format!("{:#?}", Dialect::default());
    for line in format!("{dialect:#?}").lines() {
        if !default.lines().any(|same| same == line) {
            let _ = writeln!(text, "  {}", line.trim());
        }
    }
    text
}

/// The reports, one on each line.
pub fn describe_reports(reports: &[Reported]) -> String {
    let mut text = String::new();
    for report in reports {
        let _ = writeln!(text, "{report:?}");
    }
    text
}

/// What the server took, and its dialogue.
pub fn describe_server(server: &Recorder) -> String {
    let mut text = "taken:\n".to_owned();
    for taken in server.taken() {
        let content = String::from_utf8_lossy(&taken.content);
        let _ = writeln!(
            text,
            "  {:?} {:?} {content:.60?} said: {}",
            taken.reverse_path, taken.recipients, taken.said
        );
    }
    let _ = writeln!(text, "--- dialogue\n{}", server.dialogue());
    text
}

/// What a world came to, to see that the tests reach something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes {
    /// Whether the whole judgement applied.
    pub is_judged: bool,
    /// The contents that the servers took.
    pub taken: usize,
    /// The messages that were sent.
    pub messages: usize,
}
