//! A strict reference server for SMTP and LMTP, which tests judge a client by.
//!
//! [`Recorder`] is the server. It does no input or output: the test gives it the
//! octets of the client and takes the octets that it answers. It speaks one
//! [`Dialect`]: a textbook server, or one with any of the deviations that real
//! servers and proxies show. It records two things:
//!
//! - [`Taken`]: each content that the server takes responsibility for.
//! - [`Offence`]: each thing that no correct client does, by the RFCs.
//!
//! [`judge`] then compares what a program sends, what a client reports about it,
//! and what the servers took. It knows no types of any client.
//!
//! The crate is written from the RFCs alone and shares no code with a client or
//! another server, so that a wrong belief is not held by both sides of a test.
//!
//! ```
//! use postwire_reference::{Dialect, Recorder};
//!
//! let mut server = Recorder::new(Dialect::default());
//! assert!(server.say().starts_with(b"220 "));
//! server.receive(b"EHLO client.example\r\n");
//! assert!(server.say().starts_with(b"250-"));
//! server.receive(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@server.example>\r\nDATA\r\n");
//! assert!(server.say().ends_with(b"354 end with <CRLF>.<CRLF>\r\n"));
//! server.receive(b"Subject: x\r\n\r\n..dot\r\n.\r\n");
//! assert!(server.say().starts_with(b"250 "));
//! assert_eq!(server.taken()[0].content, b"Subject: x\r\n\r\n.dot\r\n");
//! assert_eq!(server.offences(), []);
//! ```

mod auth;
mod canonical;
mod commands;
mod content;
mod dialect;
mod dialogue;
mod judge;
mod keywords;
mod lines;
mod misleading;
mod offence;
mod parameters;
mod random;
mod recorder;
mod replies;
mod syntax;

pub use crate::{
    canonical::canonical,
    dialect::{
        AfterClosing, Bdat, Closing, DataWithoutRecipients, Dialect, Farewell, LmtpFinals,
        Protocol, ReplyFlow, ReplyForm, Rset, SecondGreeting,
    },
    judge::{Reported, Sent, Status, Verdict, judge, judge_unordered},
    keywords::{Keywords, Mechanism},
    lines::LineEnds,
    misleading::Misleading,
    offence::Offence,
    recorder::{Recorder, Taken},
};
