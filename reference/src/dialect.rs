//! The dialects: how a server behaves. The default is a textbook server, and each
//! field is one deviation that real servers or proxies show. Fields combine freely.
//!
//! Positions of replies count every answer that the server owes, from 1, the
//! greeting; each final reply of LMTP counts.

use crate::{keywords::Keywords, lines::LineEnds};

/// The protocol that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// SMTP (RFC 5321).
    #[default]
    Smtp,
    /// LMTP (RFC 2033).
    Lmtp,
}

/// What the server does with `DATA` when no recipient was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataWithoutRecipients {
    /// It answers this code: 503 or 554.
    Refused(u16),
    /// It answers 354, reads the content and then answers 554. In LMTP this breaks
    /// RFC 2033 §4.2, which leaves open whether a reply is due then.
    Invited,
}

/// What the server does with `RSET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rset {
    /// It answers 250 and ends the transaction.
    #[default]
    Accepted,
    /// It answers this code, and the transaction stays open. 421 also hangs up.
    Refused(u16),
    /// It answers 250, but the transaction stays open.
    Forgotten,
}

/// What the server does with `BDAT`, if `CHUNKING` is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Bdat {
    /// It accepts each chunk.
    #[default]
    Accepted,
    /// It refuses each chunk.
    Refused,
    /// It does not know the command: it answers 500 and never reads the octets.
    Unknown,
    /// It accepts the first chunk of a transaction and refuses those behind it.
    LaterRefused,
    /// It refuses `BDAT 0 LAST`.
    ZeroLastRefused,
    /// It accepts the chunks that are not the last, and refuses the last.
    LastRefused,
}

/// How many final replies an LMTP server says for `N` accepted recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LmtpFinals {
    /// One for each, in order.
    #[default]
    EachRecipient,
    /// `N - 1`: the last recipient gets none, but the server takes the content for it.
    OneFewer,
    /// `N + 1`: the last reply is said twice.
    OneMore,
    /// One reply in all, which decides for all recipients.
    One,
}

/// How the server writes a reply of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyForm {
    /// A code, a space, a text, CRLF.
    #[default]
    Plain,
    /// The code and CRLF only.
    CodeOnly,
    /// This many more lines before it, each with its code.
    ManyLines(usize),
    /// A text of this many octets.
    LongText(usize),
    /// A bare LF at the end. Replies of more lines have it too.
    LfOnly,
}

/// When the server writes its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyFlow {
    /// [`say`](crate::Recorder::say) gives all replies that are due, joined.
    #[default]
    Prompt,
    /// [`say`](crate::Recorder::say) gives one reply, and its next call the next one.
    OneAtATime,
    /// The server holds this reply, and those behind it, until the next input or
    /// [`nudge`](crate::Recorder::nudge).
    WithheldAt(usize),
    /// The server holds each reply until the next input or
    /// [`nudge`](crate::Recorder::nudge).
    AllWithheld,
}

/// What a server does behind a 421 reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterClosing {
    /// It closes the connection.
    HangUp,
    /// It goes on as if nothing were wrong.
    Continue,
    /// It keeps the connection open and never executes or answers anything again.
    Silence,
}

/// A 421 in place of a reply. The command or content that it answers has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Which reply it replaces.
    pub reply: usize,
    /// What the server does then.
    pub then: AfterClosing,
}

/// A 221 in place of the reply to a content; the server hangs up behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The server took the content all the same.
    Taken,
    /// The server dropped the content.
    Dropped,
}

/// A 220 that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondGreeting {
    /// The server greets twice at once.
    AtOnce,
    /// The server greets again when TLS is established.
    AfterTls,
}

/// How a server behaves; the default is a textbook server.
///
/// The server decides about addresses by the start of the local part: a sender
/// `nobody…` gets 550; a recipient `no…` gets 550, `later…` 450, `full…` 452; an LMTP
/// recipient `mixed…` is accepted and gets 554 behind the content. A content that
/// holds a line `X-Refuse: 550` is refused with that code; `5xx` means 554 and `4xx`
/// 451.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// The lines of the greeting, at least one.
    pub greeting: Vec<String>,
    /// The greeting has this code instead of 220, and the server hangs up.
    pub greeting_refused: Option<u16>,
    /// A second 220.
    pub second_greeting: Option<SecondGreeting>,
    /// `EHLO` gets this code; only `HELO` is accepted. LMTP has no `HELO`, so `LHLO` is
    /// accepted there whatever this says.
    pub ehlo_refused: Option<u16>,
    /// What the EHLO response offers.
    pub keywords: Keywords,
    /// What the EHLO response offers under TLS; `None`: the same, without `STARTTLS`.
    pub keywords_after_tls: Option<Keywords>,
    /// `STARTTLS` gets this code.
    pub starttls_refused: Option<u16>,
    /// In plaintext, all but `EHLO`, `HELO`, `LHLO`, `STARTTLS`, `QUIT`, `NOOP` and `RSET`
    /// gets 530 and is an offence.
    pub tls_demanded: bool,
    /// `MAIL` without authentication gets 530.
    pub auth_demanded: bool,
    /// The user that `AUTH` accepts.
    pub user: String,
    /// The password that `AUTH` accepts.
    pub password: String,
    /// A `MAIL` in an open transaction starts a new one; else it gets 503.
    pub nested_mail_replaces: bool,
    /// From the k-th recipient of a transaction that would be accepted, counted from
    /// 1, each gets 452.
    pub too_many_at: Option<usize>,
    /// What `RSET` does.
    pub rset: Rset,
    /// What `DATA` does without an accepted recipient.
    pub data_without_recipients: DataWithoutRecipients,
    /// `DATA` gets this code although recipients were accepted.
    pub data_refused: Option<u16>,
    /// The transaction stays open when its content is refused.
    pub failed_content_keeps_transaction: bool,
    /// What `BDAT` does. A chunk behind a refused one of its transaction gets one 503, in
    /// LMTP too; the refusal of a last chunk is a final reply to each LMTP recipient.
    pub bdat: Bdat,
    /// The code with which [`bdat`](Self::bdat) refuses.
    pub bdat_refusal: u16,
    /// The octets of a refused chunk are not read, for whatever reason it is refused,
    /// so that they are executed as commands.
    pub unread_chunks: bool,
    /// The server drops what came in one `receive` with the end of a final dot, behind
    /// it.
    pub forgets_behind_dot: bool,
    /// The server drops what came in one `receive` with `DATA`, behind it; else it is
    /// the start of the content.
    pub drops_early_content: bool,
    /// The server drops what it has received but not executed when it says a 4yz or
    /// 5yz reply.
    pub drops_after_error: bool,
    /// What ends a line and a content.
    pub line_ends: LineEnds,
    /// How many final replies LMTP gets.
    pub lmtp_finals: LmtpFinals,
    /// How replies look.
    pub reply_form: ReplyForm,
    /// When replies are written.
    pub reply_flow: ReplyFlow,
    /// The first line of this reply has another code than its last line. The server
    /// means what the last line says.
    pub disagreeing_reply: Option<usize>,
    /// A 250 that nobody asked for follows this reply.
    pub surplus_after: Option<usize>,
    /// A 421 in place of a reply.
    pub closing: Option<Closing>,
    /// A 221 in place of the reply to the first content that would be accepted. A
    /// client cannot know which of the two happened; RFC 5321 §4.2.1 makes 221 a
    /// positive reply.
    pub farewell_for_content: Option<Farewell>,
    /// The server hangs up without a word in place of this reply. What it would answer
    /// has no effect.
    pub vanish_at: Option<usize>,
    /// The server takes the k-th content that would be accepted, counted from 1, and
    /// hangs up before it says so.
    pub vanish_after_taking: Option<usize>,
    /// From this reply on the server writes nothing more, but it still reads and
    /// executes.
    pub half_close_at: Option<usize>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            protocol: Protocol::Smtp,
            greeting: vec!["server.example ready".to_owned()],
            greeting_refused: None,
            second_greeting: None,
            ehlo_refused: None,
            keywords: Keywords {
                pipelining: true,
                chunking: true,
                eight_bit_mime: true,
                size: Some(0),
                smtp_utf8: true,
                dsn: true,
                enhanced_status_codes: true,
                ..Keywords::default()
            },
            keywords_after_tls: None,
            starttls_refused: None,
            tls_demanded: false,
            auth_demanded: false,
            user: "user".to_owned(),
            password: "password".to_owned(),
            nested_mail_replaces: false,
            too_many_at: None,
            rset: Rset::Accepted,
            data_without_recipients: DataWithoutRecipients::Refused(503),
            data_refused: None,
            failed_content_keeps_transaction: false,
            bdat: Bdat::Accepted,
            bdat_refusal: 554,
            unread_chunks: false,
            forgets_behind_dot: false,
            drops_early_content: false,
            drops_after_error: false,
            line_ends: LineEnds::Strict,
            lmtp_finals: LmtpFinals::EachRecipient,
            reply_form: ReplyForm::Plain,
            reply_flow: ReplyFlow::Prompt,
            disagreeing_reply: None,
            surplus_after: None,
            closing: None,
            farewell_for_content: None,
            vanish_at: None,
            vanish_after_taking: None,
            half_close_at: None,
        }
    }
}

impl Dialect {
    /// A textbook LMTP server.
    pub fn lmtp() -> Self {
        Self {
            protocol: Protocol::Lmtp,
            ..Self::default()
        }
    }

    /// What the server offers at this point of the session.
    pub(crate) fn offer(&self, under_tls: bool) -> Keywords {
        match (&self.keywords_after_tls, under_tls) {
            (_, false) => self.keywords.clone(),
            (Some(keywords), true) => Keywords {
                starttls: false,
                ..keywords.clone()
            },
            (None, true) => Keywords {
                starttls: false,
                ..self.keywords.clone()
            },
        }
    }
}
