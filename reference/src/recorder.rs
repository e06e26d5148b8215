//! The recorder: the server of one connection. Octets come in, replies come out, and
//! what was taken and what was wrong is kept. This file holds the state of the
//! session and the loop that reads input; the commands, the contents and the
//! authentication are in files of their own.

use std::collections::BTreeSet;

use crate::{
    auth::Challenge,
    dialect::{AfterClosing, Dialect, Protocol, ReplyFlow, SecondGreeting},
    dialogue::Dialogue,
    keywords::Keywords,
    lines::{ContentReader, first_line},
    offence::Offence,
    replies::{Outgoing, Reply},
};

/// A content for which the server took responsibility.
///
/// For LMTP one content can make two of these: one for the recipients whose 250 was
/// said, and one for those whose 250 was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The address of `MAIL`, without its angle brackets.
    pub reverse_path: String,
    /// The addresses of the recipients that the server took it for, in order.
    pub recipients: Vec<String>,
    /// The content, without stuffed dots and without the final dot.
    pub content: Vec<u8>,
    /// The parameters of `MAIL` as they were written, and then those of each accepted
    /// `RCPT` with the address before it: `<b@server.example> NOTIFY=NEVER`.
    pub parameters: Vec<String>,
    /// Whether the content came under TLS.
    pub under_tls: bool,
    /// Whether the content came by `BDAT`.
    pub by_bdat: bool,
    /// Whether the 250 was given to [`Recorder::say`] at all. It is false if the server
    /// vanished, or had stopped writing, after it took the content.
    pub said: bool,
}

/// The mail transaction that is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) reverse_path: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) recipient_parameters: Vec<String>,
    pub(crate) recipients: Vec<String>,
    /// What the chunks so far hold.
    pub(crate) content: Vec<u8>,
    /// How many chunks were accepted.
    pub(crate) chunks: usize,
    /// A chunk was refused, so each later one is.
    pub(crate) chunk_failed: bool,
    /// The client tried to end it: by `RSET`, by `BDAT`, or by a content.
    pub(crate) end_tried: bool,
    /// The client tried to end it by `RSET`. RFC 5321 §4.1.1.5 demands a 250, so the client
    /// may take what follows for its next transaction.
    pub(crate) reset_tried: bool,
}

/// What the next octets of the client are.
#[derive(Debug)]
pub(crate) enum Mode {
    Command,
    Challenge(Challenge),
    Content(ContentReader),
    Chunk {
        remaining: u64,
        last: bool,
        refusal: Option<Reply>,
    },
    /// 220 was answered to `STARTTLS`.
    Handshake,
}

/// A strict SMTP or LMTP server of one connection, without input or output.
///
/// A test moves octets between the client and the server:
///
/// 1. Write what [`say`](Self::say) gives, until it gives nothing.
/// 2. If [`has_hung_up`](Self::has_hung_up), close the connection.
/// 3. If [`tls_wanted`](Self::tls_wanted), do the handshake and call
///    [`tls_established`](Self::tls_established).
/// 4. Give what the client writes to [`receive`](Self::receive); when it closes, call
///    [`receive_eof`](Self::receive_eof).
/// 5. If nothing moves any more, call [`nudge`](Self::nudge): a slow server answers
///    then. If it still gives nothing, the client must time out.
#[derive(Debug)]
pub struct Recorder {
    pub(crate) dialect: Dialect,
    pub(crate) input: Vec<u8>,
    pub(crate) mode: Mode,
    /// What the last accepted EHLO offered; none of it after `HELO`.
    pub(crate) offered: Keywords,
    pub(crate) greeted: bool,
    pub(crate) under_tls: bool,
    pub(crate) authenticated: bool,
    pub(crate) transaction: Option<Transaction>,
    /// Whether the last `MAIL` line stated `SMTPUTF8`, accepted or not.
    pub(crate) mail_was_utf8: bool,
    /// How many `MAIL` commands were accepted.
    pub(crate) mails: usize,
    pub(crate) domains: BTreeSet<String>,
    /// How many contents would have been accepted.
    pub(crate) contents: usize,
    pub(crate) hung_up: bool,
    pub(crate) half_closed: bool,
    silent: bool,
    outgoing: Outgoing,
    /// How many replies the server owed so far.
    replies: usize,
    /// The start of the next line was looked at by `check_turn`.
    turn_checked: bool,
    /// The last command, if it must be the last of its group.
    pub(crate) last_of_group: Option<String>,
    misled_after: Option<usize>,
    taken: Vec<Taken>,
    offences: Vec<Offence>,
    dialogue: Dialogue,
}

impl Recorder {
    /// Starts a connection. The greeting is ready to be said.
    pub fn new(dialect: Dialect) -> Self {
        let mut recorder = Self {
            dialect,
            input: Vec::new(),
            mode: Mode::Command,
            offered: Keywords::default(),
            greeted: false,
            under_tls: false,
            authenticated: false,
            transaction: None,
            mail_was_utf8: false,
            mails: 0,
            domains: BTreeSet::new(),
            contents: 0,
            hung_up: false,
            half_closed: false,
            silent: false,
            outgoing: Outgoing::default(),
            replies: 0,
            turn_checked: false,
            last_of_group: None,
            misled_after: None,
            taken: Vec::new(),
            offences: Vec::new(),
            dialogue: Dialogue::default(),
        };
        recorder.greet();
        recorder
    }

    fn greet(&mut self) {
        let lines = self.dialect.greeting.clone();
        if let Some(code) = self.dialect.greeting_refused {
            self.answer(&Reply::of_lines(code, "", lines));
            self.hung_up = true;
            return;
        }
        let greeting = Reply::of_lines(220, "", lines);
        self.answer(&greeting);
        if self.dialect.second_greeting == Some(SecondGreeting::AtOnce) {
            self.answer_unasked(&greeting);
        }
    }

    /// Takes octets from the client; they may be cut anywhere.
    ///
    /// What comes in one call came in one segment: a server that forgets what lies
    /// behind a final dot forgets what is left of this call.
    pub fn receive(&mut self, octets: &[u8]) {
        self.dialogue.client(octets);
        self.outgoing.release();
        if self.is_executing() {
            self.input.extend_from_slice(octets);
        }
        while self.is_executing() && self.step() {}
        if !self.is_executing() {
            self.input.clear();
        }
    }

    /// Reads one thing from the input. Says whether there may be more.
    fn step(&mut self) -> bool {
        match self.mode {
            Mode::Command | Mode::Challenge(_) => self.read_line(),
            Mode::Content(_) => self.read_content(),
            Mode::Chunk { .. } => self.read_chunk(),
            Mode::Handshake => {
                if !self.input.is_empty() {
                    let octets = std::mem::take(&mut self.input);
                    self.offend(Offence::BehindStartTls(octets));
                }
                false
            }
        }
    }

    fn read_line(&mut self) -> bool {
        self.check_turn();
        let Some(line) = first_line(&self.input, self.dialect.line_ends) else {
            return false;
        };
        self.input.drain(..line.length);
        self.turn_checked = false;
        self.last_of_group = None;
        if let Mode::Challenge(_) = self.mode {
            self.execute_challenge(&line);
        } else {
            self.execute(&line);
        }
        true
    }

    /// Notes an offence if input comes out of turn.
    ///
    /// Input is out of turn if an answer that the client waits for was not yet given
    /// to [`say`](Self::say): the client cannot have read it. It does not matter in
    /// how many pieces the input comes, and a withheld answer counts. Each line is
    /// looked at once, when its first octet is there. A reply that nobody asked for is
    /// not waited for, and once it is said, it stands in for an answer, because the
    /// client may have read it as one. Answers that are never said are not waited for.
    ///
    /// If the test calls `say` before it moves what the client wrote, the check may miss
    /// an offence, but it never invents one.
    pub(crate) fn check_turn(&mut self) {
        if self.turn_checked || self.input.is_empty() {
            return;
        }
        self.turn_checked = true;
        if !self.outgoing.is_owing() {
            return;
        }
        let end = self
            .input
            .iter()
            .position(|octet| b"\r\n".contains(octet))
            .unwrap_or(self.input.len());
        let behind = self.input[..end.min(80)].escape_ascii().to_string();
        if let Some(last) = self.last_of_group.clone() {
            self.offend(Offence::BehindLastOfGroup { last, behind });
        } else if !self.offered.pipelining {
            self.offend(Offence::Pipelined(behind));
        }
    }

    /// The next octet starts a new line.
    pub(crate) fn begin_turn(&mut self) {
        self.turn_checked = false;
    }

    /// Looks at the input behind the command that was just executed, before the
    /// input is dropped or becomes something else than a command.
    pub(crate) fn check_turn_behind(&mut self) {
        self.turn_checked = false;
        self.check_turn();
    }

    /// Drops the input that is not executed yet.
    pub(crate) fn drop_input(&mut self) {
        if !self.input.is_empty() {
            self.check_turn_behind();
            self.input.clear();
            self.turn_checked = false;
            self.mislead("the server drops input");
        }
    }

    /// Notes that from now on offences may not be the client's.
    pub(crate) fn mislead(&mut self, why: &str) {
        self.dialogue.note(why);
        self.misled_after.get_or_insert(self.offences.len());
    }

    /// The client closes its side. What is incomplete is lost, and the server closes
    /// too.
    pub fn receive_eof(&mut self) {
        self.dialogue.note("the client closes");
        self.outgoing.release();
        self.input.clear();
        self.hung_up = true;
    }

    /// Takes out what the server writes now.
    pub fn say(&mut self) -> Vec<u8> {
        let said = match self.dialect.reply_flow {
            ReplyFlow::OneAtATime => self.outgoing.take_one(),
            _ => self.outgoing.take_all(),
        };
        self.dialogue.server(&said);
        said
    }

    /// Makes replies that a slow server withholds ready to be said.
    pub fn nudge(&mut self) {
        self.outgoing.release();
    }

    /// Whether 220 was said to `STARTTLS`: the test does the handshake now.
    pub fn tls_wanted(&self) -> bool {
        matches!(self.mode, Mode::Handshake) && self.outgoing.is_empty() && !self.half_closed
    }

    /// The handshake is done. The server forgets what it learnt before
    /// (RFC 3207 §4.2); plaintext that came behind `STARTTLS` is an offence and is not
    /// executed.
    ///
    /// Where TLS comes before the greeting, call this at once after
    /// [`new`](Self::new).
    pub fn tls_established(&mut self) {
        self.dialogue.note("TLS is established");
        self.mode = Mode::Command;
        self.input.clear();
        self.turn_checked = false;
        self.last_of_group = None;
        self.under_tls = true;
        self.greeted = false;
        self.authenticated = false;
        self.offered = Keywords::default();
        self.transaction = None;
        if self.dialect.second_greeting == Some(SecondGreeting::AfterTls) {
            let greeting = Reply::of_lines(220, "", self.dialect.greeting.clone());
            self.answer_unasked(&greeting);
        }
    }

    /// Whether the server closes the connection: it has said all that it had to say.
    pub fn has_hung_up(&self) -> bool {
        self.hung_up && self.outgoing.is_empty()
    }

    /// Whether the server has closed its side for writing only: the client reads the
    /// end of the stream, but the server still reads.
    pub fn has_stopped_writing(&self) -> bool {
        self.half_closed && self.outgoing.is_empty()
    }

    /// Everything for which the server took responsibility, in order.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// What the client did wrong, in order.
    pub fn offences(&self) -> &[Offence] {
        &self.offences
    }

    /// How many offences there were when the server, by its own fault, first dropped
    /// input, left a chunk unread, answered what nobody asked, or kept a transaction
    /// that has ended for the client.
    ///
    /// What the server reads as commands from then on may be the rest of a line or of a
    /// chunk, and the client may have read the wrong reply as an answer. So later
    /// offences may not be the client's.
    pub fn misled_after(&self) -> Option<usize> {
        self.misled_after
    }

    /// Both directions in order, with notes, for the message of a failed test.
    pub fn dialogue(&self) -> String {
        self.dialogue.to_string()
    }

    pub(crate) fn offend(&mut self, offence: Offence) {
        self.dialogue.note(&format!("offence: {offence}"));
        self.offences.push(offence);
    }

    pub(crate) fn record(&mut self, taken: Taken) {
        let said = if taken.said { "" } else { ", unsaid" };
        let recipients = taken.recipients.join(", ");
        self.dialogue.note(&format!("taken for {recipients}{said}"));
        self.taken.push(taken);
    }

    pub(crate) fn is_lmtp(&self) -> bool {
        self.dialect.protocol == Protocol::Lmtp
    }

    /// Whether the server still executes what it reads.
    pub(crate) fn is_executing(&self) -> bool {
        !self.hung_up && !self.silent
    }

    /// Answers what the client asked for. Says whether the server means it: no if the
    /// server closes or vanishes instead, so that what it answers has no effect.
    pub(crate) fn answer(&mut self, reply: &Reply) -> bool {
        if !self.is_executing() {
            return false;
        }
        self.replies += 1;
        let position = Some(self.replies);
        if self.dialect.vanish_at == position {
            self.dialogue.note("the server vanishes");
            self.hung_up = true;
            return false;
        }
        if self.dialect.half_close_at == position {
            self.dialogue.note("the server writes nothing more");
            self.half_closed = true;
        }
        if self.half_closed {
            return true;
        }
        let withhold = match self.dialect.reply_flow {
            ReplyFlow::AllWithheld => true,
            ReplyFlow::WithheldAt(at) => at == self.replies,
            ReplyFlow::Prompt | ReplyFlow::OneAtATime => false,
        };
        let disagreeing = self.dialect.disagreeing_reply == position;
        let closing = self
            .dialect
            .closing
            .filter(|closing| closing.reply == self.replies);
        let said = match closing {
            None => reply.clone(),
            Some(_) => Reply::new(421, "4.3.2", "closing the connection"),
        };
        self.queue(&said, disagreeing, true, withhold);
        if self.dialect.surplus_after == position {
            self.answer_unasked(&Reply::new(250, "2.0.0", "nobody asked"));
        }
        match closing.map(|closing| closing.then) {
            Some(AfterClosing::HangUp) => self.hung_up = true,
            Some(AfterClosing::Silence) => self.silent = true,
            Some(AfterClosing::Continue) | None => {}
        }
        if said.is_error() && self.dialect.drops_after_error {
            self.drop_input();
        }
        closing.is_none()
    }

    /// Says a reply that answers nothing.
    pub(crate) fn answer_unasked(&mut self, reply: &Reply) {
        if self.is_executing() && !self.half_closed {
            self.mislead("the server answers what nobody asked");
            self.queue(reply, false, false, false);
        }
    }

    fn queue(&mut self, reply: &Reply, disagreeing: bool, owed: bool, withhold: bool) {
        let enhanced = self.offered.enhanced_status_codes;
        let octets = reply.octets(self.dialect.reply_form, enhanced, disagreeing);
        self.outgoing.push(octets, owed, withhold);
    }
}
