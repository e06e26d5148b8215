//! The replies that the server itself chooses, each with its enhanced code (RFC 5321 §4.2.2,
//! RFC 3463).
//!
//! Knows their texts. Must never know when a reply applies.

/// A reply of one line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultReply {
    pub(crate) code: u16,
    /// Empty where there is none (RFC 2034 §4: none before 2xx, 4xx and 5xx).
    pub(crate) enhanced: &'static str,
    pub(crate) text: &'static str,
}

const fn reply(code: u16, enhanced: &'static str, text: &'static str) -> DefaultReply {
    DefaultReply {
        code,
        enhanced,
        text,
    }
}

pub(crate) const HELP: DefaultReply = reply(214, "2.0.0", "see RFC 5321");
pub(crate) const READY_FOR_TLS: DefaultReply = reply(220, "2.0.0", "ready to start TLS");
pub(crate) const GOODBYE: DefaultReply = reply(221, "2.0.0", "goodbye");
pub(crate) const AUTHENTICATED: DefaultReply = reply(235, "2.7.0", "authentication successful");
pub(crate) const OK: DefaultReply = reply(250, "2.0.0", "ok");
pub(crate) const SENDER_OK: DefaultReply = reply(250, "2.1.0", "sender ok");
pub(crate) const RECIPIENT_OK: DefaultReply = reply(250, "2.1.5", "recipient ok");
pub(crate) const CHUNK_OK: DefaultReply = reply(250, "2.0.0", "chunk received");
pub(crate) const MESSAGE_ACCEPTED: DefaultReply = reply(250, "2.0.0", "message accepted");
pub(crate) const CANNOT_VERIFY: DefaultReply = reply(252, "2.5.0", "send a message and see");
pub(crate) const START_CONTENT: DefaultReply = reply(354, "", "end data with <CRLF>.<CRLF>");

pub(crate) const IDLE_TOO_LONG: DefaultReply = reply(421, "4.4.2", "idle for too long, closing");
pub(crate) const SHUTTING_DOWN: DefaultReply = reply(421, "4.3.2", "shutting down, try later");
pub(crate) const NOT_SMTP: DefaultReply = reply(421, "4.7.0", "this is an SMTP server, closing");
pub(crate) const TOO_MANY_MESSAGES: DefaultReply =
    reply(421, "4.7.0", "too many messages in this session, closing");
pub(crate) const TOO_MUCH_INPUT: DefaultReply = reply(421, "4.7.0", "too much input, closing");
pub(crate) const TOO_MANY_RECIPIENTS: DefaultReply = reply(452, "4.5.3", "too many recipients");

pub(crate) const LINE_TOO_LONG: DefaultReply = reply(500, "5.5.2", "line too long");
pub(crate) const BARE_LINE_FEED: DefaultReply =
    reply(500, "5.5.2", "bare line feed refused, lines end in CRLF");
pub(crate) const NOT_TEXT: DefaultReply =
    reply(500, "5.5.2", "control character or invalid UTF-8 refused");
pub(crate) const UNKNOWN_COMMAND: DefaultReply = reply(500, "5.5.1", "unknown command");
pub(crate) const RESPONSE_TOO_LONG: DefaultReply =
    reply(500, "5.5.6", "authentication exchange line is too long");
pub(crate) const SYNTAX_ERROR: DefaultReply = reply(501, "5.5.4", "syntax error in the arguments");
pub(crate) const INVALID_SENDER: DefaultReply = reply(501, "5.1.7", "invalid reverse-path");
pub(crate) const INVALID_RECIPIENT: DefaultReply = reply(501, "5.1.3", "invalid forward-path");
pub(crate) const INVALID_PARAMETER: DefaultReply = reply(501, "5.5.4", "invalid parameter");
pub(crate) const DELIVERY_TIME_TOO_SHORT: DefaultReply =
    reply(501, "5.5.4", "the delivery time is too short");
pub(crate) const HOLD_TOO_LONG: DefaultReply = reply(501, "5.5.4", "the hold time is too long");
pub(crate) const INVALID_CHUNK: DefaultReply = reply(501, "5.5.4", "invalid chunk size, closing");
pub(crate) const INVALID_RESPONSE: DefaultReply = reply(501, "5.5.2", "invalid response");
pub(crate) const AUTH_CANCELLED: DefaultReply = reply(501, "5.7.0", "authentication cancelled");
pub(crate) const NOT_IMPLEMENTED: DefaultReply = reply(502, "5.5.1", "command not implemented");

pub(crate) const HELLO_FIRST: DefaultReply = reply(503, "5.5.1", "send EHLO first");
pub(crate) const MAIL_FIRST: DefaultReply = reply(503, "5.5.1", "MAIL first");
pub(crate) const NESTED_MAIL: DefaultReply = reply(503, "5.5.1", "a transaction is open");
pub(crate) const NO_VALID_RECIPIENTS: DefaultReply = reply(503, "5.5.1", "no valid recipients");
pub(crate) const CONTENT_BEGUN: DefaultReply = reply(503, "5.5.1", "DATA cannot follow BDAT");
pub(crate) const CONTENT_FAILED: DefaultReply = reply(503, "5.5.1", "an earlier BDAT failed");
pub(crate) const BINARY_NEEDS_BDAT: DefaultReply = reply(503, "5.5.1", "BINARYMIME needs BDAT");
pub(crate) const TLS_ALREADY: DefaultReply = reply(503, "5.5.1", "already under TLS");
pub(crate) const AUTHENTICATED_ALREADY: DefaultReply = reply(503, "5.5.1", "authenticated already");
pub(crate) const UNKNOWN_MECHANISM: DefaultReply = reply(504, "5.5.4", "mechanism not offered");

pub(crate) const TLS_FIRST: DefaultReply =
    reply(530, "5.7.0", "must issue a STARTTLS command first");
pub(crate) const AUTH_FIRST: DefaultReply = reply(530, "5.7.0", "authentication required");
pub(crate) const AUTHENTICATION_FAILED: DefaultReply = reply(535, "5.7.8", "authentication failed");
pub(crate) const AUTHORIZATION_REFUSED: DefaultReply =
    reply(535, "5.7.8", "acting for another user is not supported");
pub(crate) const AUTH_NEEDS_TLS: DefaultReply = reply(538, "5.7.11", "encryption required");
pub(crate) const BARE_LINE_FEED_IN_CONTENT: DefaultReply =
    reply(550, "5.6.11", "bare line feed refused");
pub(crate) const BARE_CARRIAGE_RETURN_IN_CONTENT: DefaultReply =
    reply(550, "5.6.11", "bare carriage return refused");
pub(crate) const TOO_LARGE: DefaultReply = reply(552, "5.3.4", "message too large");
pub(crate) const NEEDS_SMTPUTF8: DefaultReply = reply(553, "5.6.7", "address needs SMTPUTF8");
pub(crate) const NOBODY_TO_DELIVER_TO: DefaultReply = reply(554, "5.5.1", "no valid recipients");
pub(crate) const PARAMETER_NOT_OFFERED: DefaultReply = reply(555, "5.5.4", "parameter not offered");
