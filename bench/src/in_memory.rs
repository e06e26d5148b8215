//! Sessions in memory: a client of the core, and a peer that answers its commands.
//!
//! No socket, no thread and no clock, so that every run does the same. The peer knows just enough
//! SMTP to answer. Must never use postwire's own server, which is measured as well.

use std::sync::Arc;

use bytes::Buf;
use memchr::memchr;
use postwire_proto::{
    Client, ClientConfig, Endpoint, Event, HelloName, Instant, Protocol, Security,
};

use crate::Failure;

/// The configuration of a client without TLS.
pub(crate) fn config() -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), Security::None)
}

/// A session that is ready, with a server that offers these extensions.
pub(crate) fn session(config: ClientConfig, extensions: &[&str]) -> Client {
    let mut client = Client::new(Arc::new(config));
    client.handle_input(Instant::EPOCH, b"220 mx ESMTP\r\n");
    drain(&mut client, |_| {});
    client.handle_input(Instant::EPOCH, offer(extensions).as_bytes());
    client
}

/// The reply to `EHLO`.
pub(crate) fn offer(extensions: &[&str]) -> String {
    let mut offer = "250-mx\r\n".to_owned();
    for extension in extensions {
        offer.push_str("250-");
        offer.push_str(extension);
        offer.push_str("\r\n");
    }
    offer.push_str("250 X-END\r\n");
    offer
}

/// Takes the output of an endpoint, chunk by chunk.
pub(crate) fn drain(machine: &mut impl Endpoint, mut see: impl FnMut(&[u8])) {
    // Content is written a window at a time.
    while !machine.output_chunk().is_empty() {
        let mut output = machine.output();
        while output.has_remaining() {
            let chunk = output.chunk();
            see(chunk);
            let octets = chunk.len();
            output.advance(octets);
        }
    }
}

/// Lets a client and an ordinary peer talk, and counts the messages that are accepted by all.
pub(crate) fn accepted(client: &mut impl Endpoint<Event = Event>) -> Result<usize, Failure> {
    let mut accepted = 0;
    converse(client, &mut Peer::default(), |event| {
        if let Event::Report(report) = event {
            report.into_result().map(drop)?;
            accepted += 1;
        }
        Ok(())
    })?;
    Ok(accepted)
}

/// Lets a client and its peer talk until neither has anything to say.
pub(crate) fn converse(
    client: &mut impl Endpoint<Event = Event>,
    peer: &mut Peer,
    mut see: impl FnMut(Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        drain(client, |chunk| peer.hear(chunk));
        while let Some(event) = client.poll_event() {
            see(event)?;
        }
        if peer.said().is_empty() {
            return Ok(());
        }
        client.handle_input(Instant::EPOCH, peer.said());
        peer.clear();
    }
}

/// Which recipients a peer accepts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Accepts {
    #[default]
    All,
    Nobody,
    EverySecond,
    /// All but the first of a message, which is refused for now.
    AllButTheFirst,
    /// So many of a message; the others are too many.
    AtATime(usize),
}

/// What a peer receives next.
#[derive(Debug)]
enum Receives {
    Commands,
    Data,
    Chunk { left: usize, last: bool },
}

/// The server's end: hears octets, and says replies.
#[derive(Debug)]
pub(crate) struct Peer {
    protocol: Protocol,
    accepts: Accepts,
    receives: Receives,
    /// The recipients of the message that were asked for, and those that were accepted.
    asked: usize,
    accepted: usize,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    said: Vec<u8>,
}

impl Default for Peer {
    fn default() -> Self {
        Self::new(Protocol::Smtp, Accepts::All)
    }
}

impl Peer {
    pub(crate) fn new(protocol: Protocol, accepts: Accepts) -> Self {
        Self {
            protocol,
            accepts,
            receives: Receives::Commands,
            asked: 0,
            accepted: 0,
            line: Vec::new(),
            said: Vec::new(),
        }
    }

    /// The replies that the client has not read.
    pub(crate) fn said(&self) -> &[u8] {
        &self.said
    }

    /// Records that the replies were read.
    pub(crate) fn clear(&mut self) {
        self.said.clear();
    }

    /// Hears octets of the client, cut anywhere.
    pub(crate) fn hear(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if let Receives::Chunk { left, last } = &mut self.receives {
                let here = octets.len().min(*left);
                octets = &octets[here..];
                *left -= here;
                if *left == 0 {
                    let last = *last;
                    self.receives = Receives::Commands;
                    self.chunk_is_in(last);
                }
                continue;
            }
            let Some(end) = memchr(b'\n', octets) else {
                return self.line.extend_from_slice(octets);
            };
            let (line, rest) = octets.split_at(end + 1);
            octets = rest;
            if self.line.is_empty() {
                self.hear_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.hear_line(&whole);
            }
        }
    }

    fn hear_line(&mut self, line: &[u8]) {
        match self.receives {
            Receives::Data if line == b".\r\n" => {
                self.receives = Receives::Commands;
                self.content_is_in();
            }
            Receives::Data | Receives::Chunk { .. } => {}
            Receives::Commands => self.hear_command(line),
        }
    }

    fn hear_command(&mut self, line: &[u8]) {
        match line.get(..4) {
            Some(b"MAIL") => {
                (self.asked, self.accepted) = (0, 0);
                self.say(b"250 ok\r\n");
            }
            Some(b"RCPT") => self.hear_recipient(),
            Some(b"DATA") if self.accepted == 0 => self.say(b"554 nobody\r\n"),
            Some(b"DATA") => {
                self.receives = Receives::Data;
                self.say(b"354 go\r\n");
            }
            Some(b"BDAT") => {
                let line = String::from_utf8_lossy(line);
                let mut words = line.split_ascii_whitespace().skip(1);
                let left = words.next().and_then(|octets| octets.parse().ok());
                let last = words.next().is_some();
                match left {
                    Some(0) => self.chunk_is_in(last),
                    Some(left) => self.receives = Receives::Chunk { left, last },
                    None => self.say(b"501 how many?\r\n"),
                }
            }
            Some(b"RSET" | b"NOOP") => self.say(b"250 ok\r\n"),
            Some(b"VRFY") => self.say(b"252 perhaps\r\n"),
            Some(b"QUIT") => self.say(b"221 bye\r\n"),
            _ => self.say(b"500 what?\r\n"),
        }
    }

    fn hear_recipient(&mut self) {
        let reply: &[u8] = match self.accepts {
            Accepts::Nobody => b"550 no such user\r\n",
            Accepts::EverySecond if self.asked % 2 == 1 => b"550 no such user\r\n",
            Accepts::AllButTheFirst if self.asked == 0 => b"450 later\r\n",
            Accepts::AtATime(most) if self.asked >= most => b"452 too many\r\n",
            _ => b"250 ok\r\n",
        };
        self.asked += 1;
        self.accepted += usize::from(reply.starts_with(b"250"));
        self.say(reply);
    }

    fn chunk_is_in(&mut self, last: bool) {
        if self.accepted == 0 {
            self.say(b"554 nobody\r\n");
        } else if last {
            self.content_is_in();
        } else {
            self.say(b"250 ok\r\n");
        }
    }

    fn content_is_in(&mut self) {
        let replies = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => self.accepted,
        };
        for _ in 0..replies {
            self.say(b"250 queued\r\n");
        }
    }

    fn say(&mut self, reply: &[u8]) {
        self.said.extend_from_slice(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(protocol: Protocol, accepts: Accepts, input: &[u8], cut: usize) -> String {
        let mut peer = Peer::new(protocol, accepts);
        for piece in input.chunks(cut) {
            peer.hear(piece);
        }
        String::from_utf8_lossy(peer.said()).replace("\r\n", "|")
    }

    #[test]
    fn each_command_is_answered_however_it_is_cut() {
        let input = b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..\r\nx\r\n.\r\n\
            MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 3\r\n.\r\nBDAT 0 LAST\r\nVRFY a\r\nQUIT\r\n";
        let expected = "250 ok|250 ok|550 no such user|354 go|250 queued|\
            250 ok|250 ok|250 ok|250 queued|252 perhaps|221 bye|";
        for cut in 1..20 {
            let said = answers(Protocol::Smtp, Accepts::EverySecond, input, cut);
            assert_eq!(said, expected, "{cut}");
        }
    }

    #[test]
    fn lmtp_answers_for_each_accepted_recipient() {
        let input =
            b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\n";
        let said = answers(Protocol::Lmtp, Accepts::AtATime(2), input, usize::MAX);
        let expected = "250 ok|250 ok|250 ok|452 too many|354 go|250 queued|250 queued|";
        assert_eq!(said, expected);
        let said = answers(Protocol::Lmtp, Accepts::Nobody, input, usize::MAX);
        assert!(said.contains("|554 nobody|"), "{said}");
    }
}
