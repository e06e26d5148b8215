//! Limits on what a server can make the client store or compute.

use crate::ReplyLimits;

/// Limits on what the server can make the client store or compute.
///
/// ```
/// use postwire_proto::Limits;
///
/// let limits = Limits::default().capabilities(64).trace_lines(0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// The limits on a single reply.
    pub reply: ReplyLimits,
    /// The number of capabilities that an `EHLO` reply may list. Default 128.
    pub capabilities: usize,
    /// The number of challenges that an authentication may take. Default 8.
    pub auth_rounds: usize,
    /// The number of hash iterations that a server may demand for a password, which bounds the
    /// time that the client spends. Default 200,000, which take about a tenth of a second of one
    /// processor. The calculation blocks the caller's thread: other tasks on the same executor
    /// thread wait. If a server demands more, the client does not log in.
    pub auth_iterations: u32,
    /// The number of hash iterations that a server must demand at least for a password. Default
    /// 4,096 (RFC 7677 §4). With fewer, whoever reads the exchange, or takes the server's place,
    /// tries out passwords faster. If a server demands fewer, the client does not log in.
    pub least_auth_iterations: u32,
    /// The octets of content that may be under way with `BDAT` before the client knows whether
    /// their recipients are accepted, under [`Pipelining::Bold`](crate::Pipelining::Bold). Default
    /// 256 KiB. If the connection breaks, at most this much content is in doubt.
    pub speculation: u64,
    /// The octets that a report keeps of each reply to `RCPT`; the rest is cut off, at a line's
    /// end where possible. Default 1,024.
    ///
    /// The replies in a report take at most this number times the number of recipients; a reply
    /// that equals the one before is stored once.
    pub recipient_reply: usize,
    /// The number of replies that may be outstanding at once (RFC 2920 §3.1). Default 1,000;
    /// at least 1.
    ///
    /// It bounds the replies that the server writes while nobody reads: a driver that writes
    /// and reads in turn cannot deadlock with replies of ordinary length.
    pub outstanding_replies: usize,
    /// The number of trace lines that are kept for a caller that does not poll. Default 1,024.
    pub trace_lines: usize,
    /// The octets of output that are materialised ahead of the socket: encoded content and
    /// commands. Default 256 KiB; at least 512 octets.
    ///
    /// A smaller window saves memory and makes flights smaller. Content that needs no encoding
    /// is not copied and takes none of this memory.
    pub output_window: usize,
}

impl Limits {
    setters! {
        reply: ReplyLimits,
        capabilities: usize,
        auth_rounds: usize,
        auth_iterations: u32,
        least_auth_iterations: u32,
        speculation: u64,
        recipient_reply: usize,
        outstanding_replies: usize,
        trace_lines: usize,
        output_window: usize,
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply: ReplyLimits::default(),
            capabilities: 128,
            auth_rounds: 8,
            auth_iterations: 200_000,
            least_auth_iterations: 4_096,
            speculation: 256 * 1024,
            recipient_reply: 1_024,
            outstanding_replies: 1_000,
            trace_lines: 1_024,
            output_window: 256 * 1024,
        }
    }
}
