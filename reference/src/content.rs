//! The contents: `DATA`, `BDAT`, and what the server answers behind a content. Only
//! this file takes responsibility for anything.

use crate::{
    dialect::{Bdat, DataWithoutRecipients, Farewell, LmtpFinals},
    lines::{ContentReader, LineEnds, has_bare_line_end},
    offence::Offence,
    recorder::{Mode, Recorder, Taken, Transaction},
    replies::Reply,
    syntax::bdat_arguments,
};

impl Transaction {
    fn states(&self, parameter: &str) -> bool {
        self.parameters
            .iter()
            .any(|stated| stated.eq_ignore_ascii_case(parameter))
    }
}

impl Recorder {
    pub(crate) fn execute_data(&mut self, line: &str, arguments: &str) {
        if !arguments.is_empty() {
            self.offend(Offence::Malformed(line.to_owned()));
        }
        let Some(transaction) = &self.transaction else {
            self.answer(&Reply::new(503, "5.5.1", "MAIL first"));
            return;
        };
        let mixed = transaction.chunks > 0
            || transaction.chunk_failed
            || transaction.states("BODY=BINARYMIME");
        let without_recipients = transaction.recipients.is_empty();
        let reset_tried = transaction.reset_tried;
        if mixed {
            if !reset_tried {
                self.offend(Offence::MixedContentCommands(line.to_owned()));
            }
            self.answer(&Reply::new(503, "5.5.1", "BDAT only"));
            return;
        }
        if without_recipients
            && let DataWithoutRecipients::Refused(code) = self.dialect.data_without_recipients
        {
            self.answer(&Reply::refusal(code, "no valid recipients"));
            return;
        }
        if let Some(code) = self.dialect.data_refused
            && !without_recipients
        {
            self.answer(&Reply::refusal(code, "no content now"));
            return;
        }
        if !self.answer(&Reply::new(354, "", "end with <CRLF>.<CRLF>")) {
            return;
        }
        self.mode = Mode::Content(ContentReader::new(self.dialect.line_ends));
        if self.dialect.drops_early_content && !self.input.is_empty() {
            self.check_turn_behind();
            self.input.clear();
        }
    }

    /// Reads the content of `DATA`. Says whether there may be more to read.
    pub(crate) fn read_content(&mut self) -> bool {
        if matches!(&self.mode, Mode::Content(reader) if reader.is_fresh()) {
            self.check_turn();
        }
        let Mode::Content(reader) = &mut self.mode else {
            unreachable!("the mode is content");
        };
        let (length, ended) = reader.read(&self.input);
        self.input.drain(..length);
        if !ended {
            return false;
        }
        self.turn_behind_content();
        let Mode::Content(reader) = std::mem::replace(&mut self.mode, Mode::Command) else {
            unreachable!("the mode is content");
        };
        let mut transaction = self.transaction.take().unwrap_or_default();
        transaction.content = reader.content;
        self.conclude(transaction, false, None);
        if self.dialect.forgets_behind_dot {
            self.drop_input();
        }
        true
    }

    /// What follows a content is the start of a command.
    fn turn_behind_content(&mut self) {
        self.last_of_group = None;
        self.begin_turn();
    }

    pub(crate) fn execute_bdat(&mut self, line: &str, arguments: &str) {
        if !self.offered.chunking {
            self.offend(Offence::CommandNotOffered(line.to_owned()));
            self.answer(&Reply::new(500, "5.5.1", "unknown command"));
            return;
        }
        let Some((size, last)) = bdat_arguments(arguments) else {
            self.offend(Offence::Malformed(line.to_owned()));
            self.answer(&Reply::new(501, "5.5.4", "syntax error"));
            return;
        };
        let refusal = self.chunk_refusal(size, last);
        if let Some(transaction) = &mut self.transaction {
            transaction.end_tried = true;
        }
        match refusal {
            Some(reply) if self.dialect.unread_chunks || self.dialect.bdat == Bdat::Unknown => {
                if size > 0 {
                    self.mislead("the server does not read the octets of a chunk");
                }
                if let Some(transaction) = &mut self.transaction {
                    transaction.chunk_failed = true;
                }
                self.answer(&reply);
            }
            refusal => {
                self.mode = Mode::Chunk {
                    remaining: size,
                    last,
                    refusal,
                };
                // An empty chunk is complete although no input may follow.
                self.read_chunk();
            }
        }
    }

    fn chunk_refusal(&self, size: u64, last: bool) -> Option<Reply> {
        let refused = |text| Some(Reply::refusal(self.dialect.bdat_refusal, text));
        if self.dialect.bdat == Bdat::Unknown {
            return Some(Reply::new(500, "5.5.1", "unknown command"));
        }
        let Some(transaction) = &self.transaction else {
            return Some(Reply::new(503, "5.5.1", "MAIL first"));
        };
        if transaction.recipients.is_empty() {
            return Some(Reply::new(554, "5.5.1", "no valid recipients"));
        }
        if transaction.chunk_failed {
            return Some(Reply::new(503, "5.5.1", "a chunk was refused"));
        }
        let whole = (transaction.content.len() as u64).saturating_add(size);
        if self.exceeds_size(whole) {
            return Some(Reply::new(552, "5.3.4", "message too big"));
        }
        match self.dialect.bdat {
            Bdat::Refused => refused("no chunks now"),
            Bdat::LaterRefused if transaction.chunks > 0 => refused("no more chunks"),
            Bdat::ZeroLastRefused if last && size == 0 => refused("an empty chunk"),
            Bdat::LastRefused if last => refused("not the last chunk"),
            _ => None,
        }
    }

    /// Reads the octets of a chunk. Says whether there may be more to read.
    pub(crate) fn read_chunk(&mut self) -> bool {
        let Mode::Chunk {
            remaining,
            last,
            refusal,
        } = &mut self.mode
        else {
            unreachable!("the mode is a chunk");
        };
        let length = usize::try_from(*remaining)
            .unwrap_or(usize::MAX)
            .min(self.input.len());
        *remaining -= length as u64;
        let octets: Vec<u8> = self.input.drain(..length).collect();
        if refusal.is_none()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.content.extend(octets);
        }
        if *remaining > 0 {
            return false;
        }
        let (last, refusal) = (*last, refusal.take());
        self.mode = Mode::Command;
        self.turn_behind_content();
        self.end_chunk(last, refusal);
        true
    }

    fn end_chunk(&mut self, last: bool, refusal: Option<Reply>) {
        let is_first_failure = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| !transaction.chunk_failed);
        let has_recipients = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| !transaction.recipients.is_empty());
        let concludes = match refusal {
            None => last,
            // The refusal of a last chunk is the answer to the content, and LMTP has
            // one for each recipient.
            Some(_) => last && is_first_failure && has_recipients,
        };
        if concludes {
            let transaction = self.transaction.take().unwrap_or_default();
            self.conclude(transaction, true, refusal);
            return;
        }
        let accepted = match &refusal {
            Some(reply) => {
                self.answer(reply);
                false
            }
            None => self.answer(&Reply::new(250, "2.0.0", "chunk ok")),
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks += usize::from(accepted);
            transaction.chunk_failed |= !accepted;
        }
    }

    /// Why the whole content is refused, if it is.
    fn content_refusal(&self, transaction: &Transaction, by_bdat: bool) -> Option<Reply> {
        let content = &transaction.content;
        if transaction.recipients.is_empty() {
            return Some(Reply::new(554, "5.5.1", "no valid recipients"));
        }
        if self.exceeds_size(content.len() as u64) {
            return Some(Reply::new(552, "5.3.4", "message too big"));
        }
        let is_binary = by_bdat && transaction.states("BODY=BINARYMIME");
        if self.dialect.line_ends == LineEnds::BareRefused
            && !is_binary
            && has_bare_line_end(content)
        {
            return Some(Reply::new(550, "5.6.11", "bare line end"));
        }
        content
            .split(|octet| b"\r\n".contains(octet))
            .find_map(|line| match line.strip_prefix(b"X-Refuse: ")? {
                b"5xx" => Some(554),
                b"4xx" => Some(451),
                code => std::str::from_utf8(code).ok()?.parse().ok(),
            })
            .filter(|code| (400..600).contains(code))
            .map(|code| Reply::refusal(code, "content refused"))
    }

    /// Notes what is wrong with a content.
    fn check_content(&mut self, transaction: &Transaction, by_bdat: bool) {
        if transaction.reset_tried {
            // It may be declared by a later MAIL, which was refused.
            return;
        }
        let binary = transaction.states("BODY=BINARYMIME");
        if !(by_bdat && binary) && has_bare_line_end(&transaction.content) {
            self.offend(Offence::BareLineEndInContent);
        }
        let declared = binary
            || transaction.states("BODY=8BITMIME")
            // UTF-8 header fields are stated by this parameter alone (RFC 6531 §3.6).
            || transaction.states("SMTPUTF8");
        if !transaction.content.is_ascii() && !declared {
            self.offend(Offence::EightBitContentUndeclared);
        }
    }

    /// Decides about a whole content, answers it, and ends the transaction.
    fn conclude(&mut self, mut transaction: Transaction, by_bdat: bool, refusal: Option<Reply>) {
        if refusal.is_none() {
            self.check_content(&transaction, by_bdat);
        }
        let refusal = refusal.or_else(|| self.content_refusal(&transaction, by_bdat));
        let is_refused = refusal.is_some();
        if let Some(reply) = refusal {
            self.refuse_content(&transaction, &reply);
        } else {
            self.contents += 1;
            self.accept_content(&transaction, by_bdat);
        }
        if is_refused && self.dialect.failed_content_keeps_transaction {
            self.mislead("the server keeps the transaction");
            transaction.content.clear();
            transaction.chunks = 0;
            transaction.end_tried = true;
            self.transaction = Some(transaction);
        }
    }

    fn refuse_content(&mut self, transaction: &Transaction, reply: &Reply) {
        for _ in 0..self.final_count(transaction) {
            self.answer(reply);
        }
        if self.has_surplus_final() {
            self.answer_unasked(reply);
        }
    }

    fn has_surplus_final(&self) -> bool {
        self.is_lmtp() && self.dialect.lmtp_finals == LmtpFinals::OneMore
    }

    /// How many final replies are owed for a content.
    fn final_count(&self, transaction: &Transaction) -> usize {
        let recipients = transaction.recipients.len();
        if !self.is_lmtp() || recipients == 0 {
            return 1;
        }
        match self.dialect.lmtp_finals {
            LmtpFinals::EachRecipient | LmtpFinals::OneMore => recipients,
            LmtpFinals::OneFewer => recipients - 1,
            LmtpFinals::One => 1,
        }
    }

    fn accept_content(&mut self, transaction: &Transaction, by_bdat: bool) {
        let all = transaction.recipients.clone();
        if self.dialect.vanish_after_taking == Some(self.contents) {
            self.take(transaction, by_bdat, all, false);
            self.hung_up = true;
            return;
        }
        if let Some(farewell) = self.dialect.farewell_for_content
            && self.contents == 1
        {
            let meant = self.answer(&Reply::new(221, "2.0.0", "bye"));
            if meant && farewell == Farewell::Taken {
                self.take(transaction, by_bdat, all, false);
            }
            self.hung_up = true;
            return;
        }
        let accepted = Reply::new(250, "2.0.0", "taken");
        if !self.is_lmtp() || self.dialect.lmtp_finals == LmtpFinals::One {
            if self.answer(&accepted) {
                self.take(transaction, by_bdat, all, !self.half_closed);
            }
            return;
        }
        let refused = Reply::new(554, "5.2.0", "refused for this recipient");
        let count = self.final_count(transaction);
        let (mut told, mut untold) = (Vec::new(), Vec::new());
        let mut last = &accepted;
        for (number, recipient) in all.into_iter().enumerate() {
            let is_mixed = recipient.starts_with("mixed");
            last = if is_mixed { &refused } else { &accepted };
            // A recipient without a reply of its own: the content is taken for it
            // all the same.
            let is_owed = number < count;
            let is_meant = if is_owed {
                self.answer(last)
            } else {
                self.is_executing()
            };
            if !is_mixed && is_meant {
                if is_owed && !self.half_closed {
                    told.push(recipient);
                } else {
                    untold.push(recipient);
                }
            }
        }
        self.take(transaction, by_bdat, told, true);
        self.take(transaction, by_bdat, untold, false);
        if self.has_surplus_final() {
            self.answer_unasked(last);
        }
    }

    fn take(
        &mut self,
        transaction: &Transaction,
        by_bdat: bool,
        recipients: Vec<String>,
        said: bool,
    ) {
        if recipients.is_empty() {
            return;
        }
        let stated = transaction.parameters.iter();
        let parameters = stated.chain(&transaction.recipient_parameters).cloned();
        self.record(Taken {
            reverse_path: transaction.reverse_path.clone(),
            recipients,
            content: transaction.content.clone(),
            parameters: parameters.collect(),
            under_tls: self.under_tls,
            by_bdat,
            said,
        });
    }
}
