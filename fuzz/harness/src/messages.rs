//! Messages that test the rules for content and envelopes.

use bytes::Bytes;
use postwire_proto::{
    Address, BodySource, Command, DeliverBy, Envelope, EnvelopeId, FutureRelease, MailParameter,
    MtPriority, Notify, Parameter, RcptParameter, Recipients, RequireTls, Return, StreamFacts,
};

/// Contents, including difficult ones.
const CONTENTS: [&[u8]; 13] = [
    b"Subject: x\r\n\r\nHello.\r\n",
    b"",
    b".",
    b"\r\n.\r\n..\r\n",
    b"Subject: x\r\n\r\nno line end",
    b"Subject: x\n\nLF\n.\nMAIL FROM:<m@e>\n",
    b"a\rb\r\rc\n\rd\r",
    b"\xfc\xdf 8-bit\r\n",
    "Subject: gr\u{fc}\u{df}e\r\n\r\n".as_bytes(),
    b"NUL \0, binary\r\n.\r\nlone \r and \n",
    // Longer than the runs that are copied instead of sliced.
    &[b'.'; 700],
    &[b'\n'; 700],
    // Executed as commands, it is another message.
    b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<yes@e.example>\r\nBDAT 8 LAST\r\nforged\r\n",
];

/// Recipients whose local parts tell the server how to reply.
const RECIPIENTS: [&[&str]; 8] = [
    &["yes@e.example"],
    &["yes@e.example", "no@e.example"],
    &["no@e.example"],
    &["no@e.example", "later@e.example", "yes@e.example"],
    &["yes@e.example", "yes@e.example", "also@e.example"],
    &["\"odd \\\" <>\"@[IPv6:::1]"],
    &["gr\u{fc}n@e.example"],
    &["later@e.example", "late@e.example"],
];

/// A message that an octet selects. The reverse-path contains its number, or is the null path.
pub(crate) fn message(choice: u8, number: usize) -> (Envelope, Content) {
    let choice = usize::from(choice);
    let recipients = RECIPIENTS[choice % RECIPIENTS.len()];
    let rule = if choice & 0x40 == 0 {
        Recipients::Any
    } else {
        Recipients::All
    };
    let content = CONTENTS[(choice + number) % CONTENTS.len()];
    let streamed = choice & 0x80 != 0;
    let reverse_path: Option<Address> = match choice % 3 {
        0 => None,
        _ => format!("{number}@s.example").parse().ok(),
    };
    let forward_paths = recipients.iter().filter_map(|path| path.parse().ok());
    let mut envelope = Envelope::new(reverse_path, forward_paths.collect())
        .expect("every list has an address")
        .with_recipients(rule);
    if choice & 0x20 != 0 {
        envelope = with_parameters(envelope, number);
    }
    (
        envelope,
        Content {
            octets: content,
            streamed,
        },
    )
}

/// Parameters that are left out if not offered, except for one in four.
fn with_parameters(envelope: Envelope, number: usize) -> Envelope {
    let raw: Parameter = "XFOO=bar".parse().expect("valid");
    let optional: [MailParameter; 5] = [
        Return::Headers.into(),
        EnvelopeId::new("a b+c").expect("printable").into(),
        DeliverBy::or_notify(60).expect("in range").into(),
        FutureRelease::hold_for(60).expect("in range").into(),
        MailParameter::from(raw),
    ];
    let envelope = optional.into_iter().fold(envelope, |envelope, parameter| {
        envelope.with_parameter(parameter.optional())
    });
    let envelope = envelope
        .with_parameter(MtPriority::new(-1).expect("in range"))
        .with_parameter_for_all(RcptParameter::from(Notify::NEVER).optional());
    if number % 4 == 3 {
        envelope.with_parameter(RequireTls)
    } else {
        envelope
    }
}

/// A command, selected by an octet, that is not part of sending a message.
pub(crate) fn command(choice: u8) -> Command {
    let command = match choice % 6 {
        0 => Ok(Command::noop()),
        1 => Command::vrfy("yes@e.example"),
        2 => Command::expn("gr\u{fc}n"),
        3 => Ok(Command::help()),
        4 => Command::etrn("e.example"),
        _ => Command::raw("XFOO bar"),
    };
    command.expect("all of them are commands")
}

/// The content, and how it is given to the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) octets: &'static [u8],
    pub(crate) streamed: bool,
}

impl Content {
    pub(crate) fn body(self) -> BodySource {
        if !self.streamed {
            return Bytes::from_static(self.octets).into();
        }
        let facts = StreamFacts::default()
            .eight_bit(!self.octets.is_ascii())
            .smtp_utf8(!self.octets.is_ascii())
            .binary(self.is_binary());
        facts.into()
    }

    /// Whether the content is sent unchanged or not at all.
    pub(crate) fn is_binary(self) -> bool {
        self.octets.contains(&0)
    }

    /// The content that a server must have stored: each line end a CRLF, and one at the end if
    /// `DATA` carried it (RFC 5321 §4.1.1.4).
    pub(crate) fn canonical(self) -> Vec<u8> {
        let mut canonical = Vec::new();
        let mut rest = self.octets;
        while let Some((octet, after)) = rest.split_first() {
            let returns = rest.iter().take_while(|octet| **octet == b'\r').count();
            rest = after;
            match octet {
                // Any number of CRs before an LF is one line end with it.
                b'\r' if after.get(returns - 1) == Some(&b'\n') => {
                    rest = &after[returns..];
                    canonical.extend_from_slice(b"\r\n");
                }
                b'\r' | b'\n' => canonical.extend_from_slice(b"\r\n"),
                octet => canonical.push(*octet),
            }
        }
        canonical
    }
}
