//! The dialogue of the sink: octets in, replies out.
//!
//! Knows just enough SMTP to accept everything, and finds the end of content with memchr. Must
//! never wait, store content or access a socket.

use memchr::memchr;
use memchr::memmem::Finder;

use super::{Behaviour, Counters};

const GREETING: &[u8] = b"220 sink.example ESMTP\r\n";
const QUEUED: &[u8] = b"250 2.0.0 queued\r\n";
const END: &[u8] = b"\r\n.\r\n";

/// A longer line than any client sends.
const LONGEST_LINE: usize = 16 * 1024;

/// The action after the replies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Go,
    StartTls,
    Quit,
}

/// The meaning of the next octets.
#[derive(Debug)]
enum Phase {
    Commands,
    /// Content up to the final dot; the last octets seen, which may be its beginning.
    Data {
        tail: [u8; 4],
        held: usize,
    },
    Bdat {
        left: u64,
        last: bool,
    },
    /// This many lines of an authentication are still to come.
    Auth(usize),
}

/// The session of a client.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    behaviour: Behaviour,
    counters: &'a Counters,
    phase: Phase,
    encrypted: bool,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    replies: Vec<u8>,
    end: Finder<'static>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(behaviour: Behaviour, counters: &'a Counters) -> Self {
        Self {
            behaviour,
            counters,
            phase: Phase::Commands,
            encrypted: behaviour.wrapper,
            line: Vec::new(),
            replies: GREETING.to_vec(),
            end: Finder::new(END),
        }
    }

    /// The octets to write.
    pub(crate) fn replies(&self) -> &[u8] {
        &self.replies
    }

    /// Records that the replies are written.
    pub(crate) fn clear(&mut self) {
        self.replies.clear();
    }

    /// Records that the following octets come from TLS.
    pub(super) fn secured(&mut self) {
        self.encrypted = true;
        self.line.clear();
        self.clear();
    }

    /// Processes all octets that were read.
    pub(crate) fn take(&mut self, mut input: &[u8]) -> After {
        Counters::add(&self.counters.octets, input.len() as u64);
        while !input.is_empty() {
            match &mut self.phase {
                Phase::Data { .. } => input = self.data(input),
                Phase::Bdat { left, last } => {
                    let here = (*left).min(input.len() as u64);
                    *left -= here;
                    input = &input[here as usize..];
                    Counters::add(&self.counters.content, here);
                    if *left == 0 {
                        let last = *last;
                        self.chunk_is_in(last);
                    }
                }
                Phase::Commands | Phase::Auth(_) => {
                    let Some(end) = memchr(b'\n', input) else {
                        let room = LONGEST_LINE.saturating_sub(self.line.len());
                        self.line.extend_from_slice(&input[..input.len().min(room)]);
                        return After::Go;
                    };
                    let (line, rest) = input.split_at(end + 1);
                    input = rest;
                    let after = if self.line.is_empty() {
                        self.command(line)
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(line);
                        let after = self.command(&whole);
                        whole.clear();
                        self.line = whole;
                        after
                    };
                    if after != After::Go {
                        return after;
                    }
                }
            }
        }
        After::Go
    }

    fn say(&mut self, reply: &[u8]) {
        self.replies.extend_from_slice(reply);
    }

    fn message_is_in(&mut self) {
        self.phase = Phase::Commands;
        Counters::add(&self.counters.messages, 1);
        self.say(QUEUED);
    }

    fn chunk_is_in(&mut self, last: bool) {
        if last {
            self.message_is_in();
        } else {
            self.phase = Phase::Commands;
            self.say(b"250 2.0.0 ok\r\n");
        }
    }

    /// Processes content of `DATA`. Returns the octets after it.
    fn data<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let Phase::Data { tail, held } = &mut self.phase else {
            return input;
        };
        // The end may have begun in the previous input.
        let mut seam = [0; 8];
        let here = input.len().min(4);
        seam[..*held].copy_from_slice(&tail[..*held]);
        seam[*held..*held + here].copy_from_slice(&input[..here]);
        let seam = &seam[..*held + here];
        let end = match self.end.find(seam) {
            Some(at) => Some(at + END.len() - *held),
            None => self.end.find(input).map(|at| at + END.len()),
        };
        let Some(end) = end else {
            let last = if input.len() >= 4 { input } else { seam };
            let last = &last[last.len().saturating_sub(4)..];
            tail[..last.len()].copy_from_slice(last);
            *held = last.len();
            Counters::add(&self.counters.content, input.len() as u64);
            return &[];
        };
        // The dot and its line end, part of which may be in the previous input, are not
        // content.
        let content = (end as u64).wrapping_sub(3);
        Counters::add(&self.counters.content, content);
        self.message_is_in();
        &input[end..]
    }

    fn command(&mut self, line: &[u8]) -> After {
        if let Phase::Auth(left) = self.phase {
            if left > 1 {
                self.phase = Phase::Auth(left - 1);
                self.say(b"334 UGFzc3dvcmQ6\r\n");
            } else {
                self.phase = Phase::Commands;
                self.say(b"235 2.7.0 welcome\r\n");
            }
            return After::Go;
        }
        let mut verb = [0; 4];
        let letters = line.len().min(4);
        verb[..letters].copy_from_slice(&line[..letters]);
        verb.make_ascii_uppercase();
        match &verb {
            b"MAIL" | b"RSET" | b"NOOP" => self.say(b"250 2.1.0 ok\r\n"),
            b"RCPT" => {
                Counters::add(&self.counters.recipients, 1);
                self.say(b"250 2.1.5 ok\r\n");
            }
            b"DATA" => {
                // A dot on the first line ends the data at once.
                let tail = *b"\r\n\0\0";
                self.phase = Phase::Data { tail, held: 2 };
                self.say(b"354 go ahead\r\n");
            }
            b"BDAT" => self.bdat(line),
            b"EHLO" => self.hello(),
            b"HELO" => self.say(b"250 sink.example\r\n"),
            b"AUTH" => self.auth(line),
            b"STAR" => {
                self.say(b"220 2.0.0 go ahead\r\n");
                return After::StartTls;
            }
            b"QUIT" => {
                self.say(b"221 2.0.0 bye\r\n");
                return After::Quit;
            }
            _ => self.say(b"500 5.5.2 what?\r\n"),
        }
        After::Go
    }

    fn hello(&mut self) {
        self.say(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n");
        if !self.behaviour.no_chunking {
            self.say(b"250-CHUNKING\r\n");
        }
        if !self.encrypted {
            self.say(b"250-STARTTLS\r\n");
        }
        self.say(b"250-SIZE 1073741824\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN\r\n");
    }

    fn bdat(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_ascii_whitespace().skip(1);
        let Some(Ok(left)) = words.next().map(str::parse) else {
            return self.say(b"501 5.5.4 how many?\r\n");
        };
        let last = words.next().is_some();
        if left == 0 {
            self.chunk_is_in(last);
        } else {
            self.phase = Phase::Bdat { left, last };
        }
    }

    fn auth(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).to_ascii_uppercase();
        let mut words = line.split_ascii_whitespace().skip(1);
        let login = words.next() == Some("LOGIN");
        match (login, words.next()) {
            (true, None) => {
                self.phase = Phase::Auth(2);
                self.say(b"334 VXNlcm5hbWU6\r\n");
            }
            (true, Some(_)) => {
                self.phase = Phase::Auth(1);
                self.say(b"334 UGFzc3dvcmQ6\r\n");
            }
            (false, None) => {
                self.phase = Phase::Auth(1);
                self.say(b"334 \r\n");
            }
            (false, Some(_)) => self.say(b"235 2.7.0 welcome\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(input: &[u8], cut: usize) -> (u64, u64, Vec<u8>) {
        let counters = Counters::default();
        let mut session = Session::new(Behaviour::default(), &counters);
        for piece in input.chunks(cut) {
            session.take(piece);
        }
        let replies = session.replies().to_vec();
        let counts = counters.take();
        (counts.messages, counts.content, replies)
    }

    #[test]
    fn the_end_of_content_is_found_however_it_is_cut() {
        let input = b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\na\r\n..\r\n.b\r\n.\r\n\
            BDAT 3\r\nabcBDAT 4 LAST\r\n\r\n.\rDATA\r\n.\r\nQUIT\r\n";
        let whole = counts(input, input.len());
        // "a CRLF .. CRLF .b CRLF", 7 by BDAT, nothing.
        assert_eq!((whole.0, whole.1), (3, 3 + 4 + 4 + 7));
        assert!(whole.2.ends_with(b"221 2.0.0 bye\r\n"));
        for cut in 1..12 {
            assert_eq!(counts(input, cut), whole, "{cut}");
        }
    }
}
