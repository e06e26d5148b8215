//! How much a server may make the client keep, or spend.

use crate::ReplyLimits;

/// Bounds on what the server may make the client keep.
///
/// ```
/// use postwire_proto::Limits;
///
/// let limits = Limits::default().capabilities(64).trace_lines(0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bounds on a single reply.
    pub reply: ReplyLimits,
    /// How many capabilities an `EHLO` reply may list. 128.
    pub capabilities: usize,
    /// How many challenges an authentication may take. 8.
    pub auth_rounds: usize,
    /// How often a server may ask for a password to be hashed, which bounds the time that it
    /// can make the client spend. 200,000, which take about a tenth of a second of one
    /// processor. Nothing else happens on the caller's thread meanwhile: an executor that
    /// shares it with other tasks waits. A server that asks for more is not logged in to.
    pub auth_iterations: u32,
    /// How many octets of content may be under way by `BDAT` before it is known whether
    /// their recipients were accepted, under [`Pipelining::Bold`](crate::Pipelining::Bold). 256 KiB. Should the
    /// connection break, this much at most is in doubt.
    pub speculation: u64,
    /// How many octets of each reply to `RCPT` a report keeps; the rest is cut off at a
    /// line's end where possible. 1,024.
    ///
    /// What a report of many recipients may hold is this times their number; replies that
    /// are equal to the one before are kept once.
    pub recipient_reply: usize,
    /// How many replies may be outstanding at once (RFC 2920 §3.1). 1,000.
    ///
    /// Bounds what the server may have to say while nobody reads: a driver that
    /// writes and reads in turn cannot be locked up by replies of ordinary
    /// length.
    pub outstanding_replies: usize,
    /// How many trace lines are kept for a caller who does not poll. 1,024.
    pub trace_lines: usize,
}

impl Limits {
    setters! {
        reply: ReplyLimits,
        capabilities: usize,
        auth_rounds: usize,
        auth_iterations: u32,
        speculation: u64,
        recipient_reply: usize,
        outstanding_replies: usize,
        trace_lines: usize,
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply: ReplyLimits::default(),
            capabilities: 128,
            auth_rounds: 8,
            auth_iterations: 200_000,
            speculation: 256 * 1024,
            recipient_reply: 1_024,
            outstanding_replies: 1_000,
            trace_lines: 1_024,
        }
    }
}
