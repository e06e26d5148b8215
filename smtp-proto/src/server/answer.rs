//! The server's default replies, each with its enhanced code (RFC 5321 §4.2.2, RFC 3463).
//!
//! Knows their texts. Must never know when they apply.

/// A reply of one line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// The enhanced code; empty if there is none (RFC 2034 §4: only for 2xx, 4xx and 5xx).
    pub(super) enhanced: &'static str,
    pub(super) text: &'static str,
}

const fn answer(code: u16, enhanced: &'static str, text: &'static str) -> Answer {
    Answer {
        code,
        enhanced,
        text,
    }
}

pub(super) const HELP: Answer = answer(214, "2.0.0", "see RFC 5321");
pub(super) const READY_FOR_TLS: Answer = answer(220, "2.0.0", "ready to start TLS");
pub(super) const GOODBYE: Answer = answer(221, "2.0.0", "goodbye");
pub(super) const AUTHENTICATED: Answer = answer(235, "2.7.0", "authentication successful");
pub(super) const OK: Answer = answer(250, "2.0.0", "ok");
pub(super) const SENDER_OK: Answer = answer(250, "2.1.0", "sender ok");
pub(super) const RECIPIENT_OK: Answer = answer(250, "2.1.5", "recipient ok");
pub(super) const CHUNK_OK: Answer = answer(250, "2.0.0", "chunk received");
pub(super) const MESSAGE_ACCEPTED: Answer = answer(250, "2.0.0", "message accepted");
pub(super) const CANNOT_VERIFY: Answer = answer(252, "2.5.0", "send a message and see");
pub(super) const START_CONTENT: Answer = answer(354, "", "end data with <CRLF>.<CRLF>");

pub(super) const IDLE_TOO_LONG: Answer = answer(421, "4.4.2", "idle for too long, closing");
pub(super) const TOO_MANY_MESSAGES: Answer =
    answer(421, "4.7.0", "too many messages in this session, closing");
pub(super) const TOO_MUCH_INPUT: Answer = answer(421, "4.7.0", "too much input, closing");
pub(super) const TOO_MANY_RECIPIENTS: Answer = answer(452, "4.5.3", "too many recipients");

pub(super) const LINE_TOO_LONG: Answer = answer(500, "5.5.2", "line too long");
pub(super) const BARE_LINE_FEED: Answer =
    answer(500, "5.5.2", "bare line feed refused, lines end in CRLF");
pub(super) const NOT_TEXT: Answer =
    answer(500, "5.5.2", "control character or invalid UTF-8 refused");
pub(super) const UNKNOWN_COMMAND: Answer = answer(500, "5.5.1", "unknown command");
pub(super) const RESPONSE_TOO_LONG: Answer =
    answer(500, "5.5.6", "authentication exchange line is too long");
pub(super) const SYNTAX_ERROR: Answer = answer(501, "5.5.4", "syntax error in the arguments");
pub(super) const INVALID_SENDER: Answer = answer(501, "5.1.7", "invalid reverse-path");
pub(super) const INVALID_RECIPIENT: Answer = answer(501, "5.1.3", "invalid forward-path");
pub(super) const INVALID_PARAMETER: Answer = answer(501, "5.5.4", "invalid parameter");
pub(super) const TOO_SHORT_A_TIME: Answer = answer(501, "5.5.4", "not within so short a time");
pub(super) const TOO_LONG_A_HOLD: Answer = answer(501, "5.5.4", "not held for so long");
pub(super) const INVALID_CHUNK: Answer = answer(501, "5.5.4", "invalid chunk size, closing");
pub(super) const INVALID_RESPONSE: Answer = answer(501, "5.5.2", "invalid response");
pub(super) const AUTH_CANCELLED: Answer = answer(501, "5.7.0", "authentication cancelled");
pub(super) const NOT_IMPLEMENTED: Answer = answer(502, "5.5.1", "command not implemented");

pub(super) const HELLO_FIRST: Answer = answer(503, "5.5.1", "introduce yourself first");
pub(super) const MAIL_FIRST: Answer = answer(503, "5.5.1", "MAIL first");
pub(super) const NESTED_MAIL: Answer = answer(503, "5.5.1", "a transaction is open");
pub(super) const NO_VALID_RECIPIENTS: Answer = answer(503, "5.5.1", "no valid recipients");
pub(super) const CONTENT_BEGUN: Answer = answer(503, "5.5.1", "BDAT has begun");
pub(super) const CONTENT_FAILED: Answer = answer(503, "5.5.1", "an earlier BDAT failed");
pub(super) const BINARY_NEEDS_BDAT: Answer = answer(503, "5.5.1", "BINARYMIME needs BDAT");
pub(super) const TLS_ALREADY: Answer = answer(503, "5.5.1", "TLS is active");
pub(super) const AUTHENTICATED_ALREADY: Answer = answer(503, "5.5.1", "authenticated already");
pub(super) const UNKNOWN_MECHANISM: Answer = answer(504, "5.5.4", "mechanism not offered");

pub(super) const TLS_FIRST: Answer = answer(530, "5.7.0", "must issue a STARTTLS command first");
pub(super) const AUTH_FIRST: Answer = answer(530, "5.7.0", "authentication required");
pub(super) const AUTHENTICATION_FAILED: Answer = answer(535, "5.7.8", "authentication failed");
pub(super) const AUTHORIZATION_REFUSED: Answer =
    answer(535, "5.7.8", "acting for another user is not supported");
pub(super) const AUTH_NEEDS_TLS: Answer = answer(538, "5.7.11", "encryption required");
pub(super) const BARE_LINE_END_IN_CONTENT: Answer = answer(550, "5.6.11", "bare line feed refused");
pub(super) const TOO_LARGE: Answer = answer(552, "5.3.4", "message too large");
pub(super) const NEEDS_SMTPUTF8: Answer = answer(553, "5.6.7", "address needs SMTPUTF8");
pub(super) const NOBODY_TO_DELIVER_TO: Answer = answer(554, "5.5.1", "no valid recipients");
pub(super) const PARAMETER_NOT_OFFERED: Answer = answer(555, "5.5.4", "parameter not offered");
