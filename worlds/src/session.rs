//! One session of the core's client with the reference server, in memory and under a virtual
//! clock. TLS is a name only: the handshake succeeds at once and changes no octet.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use postwire_proto::{
    Body, BodySource, Client, ClientConfig, Credentials, Endpoint as _, Event, HelloName, Instant,
    Mechanism, Pipelining, Security, StreamFacts, TlsInfo,
};
use postwire_reference::{
    AfterClosing, Bdat, Closing, Dialect, LmtpFinals, Misleading, Offence, Recorder, Reported,
    Rset, judge,
};

use crate::choices::Choices;
use crate::messages::{Message, message, reported};

/// What happens to the wire.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection breaks once the client has written this many octets.
    ClientBreak(usize),
    /// The connection breaks once the server has written this many octets.
    ServerBreak(usize),
    /// Nothing of the server arrives behind this many octets.
    Silence(usize),
}

/// A client, its server, and everything that happened to them.
#[derive(Debug)]
pub struct World {
    dialect: Dialect,
    security: Security,
    pipelining: Pipelining,
    messages: Vec<Message>,
    /// Which messages are streams, and in pieces of how many octets.
    streamed: Vec<Option<usize>>,
    fault: Option<Fault>,
    cuts: Vec<usize>,
    client: Client,
    server: Recorder,
    now: Instant,
    written: usize,
    heard: usize,
    /// Which message each number of the client stands for.
    reports: Vec<Reported>,
    closed: usize,
    /// How much of each stream was passed on.
    passed: Vec<usize>,
    timed_out: bool,
}

impl World {
    /// The world of these choices.
    pub fn new(choices: &mut Choices) -> Self {
        let mut dialect = Dialect::random(choices.number());
        if choices.once_in(8) {
            // By chance alone, few servers offer BDAT without reading what it announces.
            dialect.keywords.chunking = true;
            dialect.bdat = choices.pick(&[Bdat::Unknown, Bdat::Refused, Bdat::Accepted]);
            dialect.bdat_refusal = choices.pick(&[500, 502, 503, 554, 451]);
            dialect.unread_chunks = true;
        }
        let security = if dialect.keywords.starttls {
            choices.pick(&[Security::Required, Security::Opportunistic, Security::None])
        } else {
            choices.pick(&[
                Security::Opportunistic,
                Security::None,
                Security::None,
                Security::None,
                Security::Required,
            ])
        };
        // What is said in plaintext is an offence then.
        dialect.tls_demanded = security == Security::Required;
        let pipelining = choices.pick(&[
            Pipelining::Careful,
            Pipelining::Careful,
            Pipelining::Off,
            Pipelining::Bold,
        ]);
        let protocol = match dialect.protocol {
            postwire_reference::Protocol::Smtp => postwire_proto::Protocol::Smtp,
            postwire_reference::Protocol::Lmtp => postwire_proto::Protocol::Lmtp,
        };
        let mut config = ClientConfig::new(HelloName::localhost(), security)
            .pipelining(pipelining)
            .protocol(protocol)
            .chunking(!choices.once_in(4));
        if choices.once_in(4) {
            let password = choices.pick(&[dialect.password.as_str(), "wrong"]);
            config = config
                .credentials(Credentials::new(dialect.user.clone(), password))
                .mechanisms(vec![Mechanism::PLAIN, Mechanism::LOGIN])
                .allow_plaintext_auth(security == Security::None);
            dialect.auth_demanded = choices.once_in(2);
        }
        let count = 1 + choices.below(6);
        let messages: Vec<_> = (0..count).map(|id| message(id, choices)).collect();
        let streamed = messages
            .iter()
            .map(|_| choices.once_in(8).then(|| 1 + choices.below(64)))
            .collect();
        let fault = match choices.below(8) {
            0 => Some(Fault::ClientBreak(choices.below(3_000))),
            1 => Some(Fault::ServerBreak(choices.below(1_500))),
            2 => Some(Fault::Silence(choices.below(1_500))),
            _ => None,
        };
        let cuts = match choices.below(4) {
            0 => vec![1 + choices.below(3)],
            1 => (0..5).map(|_| 1 + choices.below(200)).collect(),
            _ => vec![usize::MAX],
        };
        let client = Client::new(Arc::new(config));
        Self {
            server: Recorder::new(dialect.clone()),
            dialect,
            security,
            pipelining,
            passed: vec![0; messages.len()],
            messages,
            streamed,
            fault,
            cuts,
            client,
            now: Instant::EPOCH,
            written: 0,
            heard: 0,
            reports: Vec::new(),
            closed: 0,
            timed_out: false,
        }
    }

    /// Runs the world to its end, and judges it.
    ///
    /// # Errors
    ///
    /// What the client did wrong, with the dialogue.
    pub fn run(mut self) -> Result<Outcomes, String> {
        let result = self.play().and_then(|()| self.verdict());
        result.map_err(|why| self.describe(&why))
    }

    fn play(&mut self) -> Result<(), String> {
        for (message, streamed) in self.messages.iter().zip(&self.streamed) {
            let body = match streamed {
                Some(_) => BodySource::Stream(
                    StreamFacts::default().eight_bit(!message.content.is_ascii()),
                ),
                None => Body::from(message.content.clone()).into(),
            };
            self.client.enqueue(message.envelope.clone(), body);
        }
        self.client.quit();
        let mut cuts = self.cuts.clone().into_iter().cycle();
        let mut nudged = false;
        for _ in 0..200_000 {
            self.hear_events();
            if self.client.is_closed() {
                self.hear_events();
                return Ok(());
            }
            let most = cuts.next().unwrap_or(usize::MAX);
            let moved = self.server_speaks(most) | self.client_speaks(most);
            if moved {
                nudged = false;
            } else if !nudged {
                nudged = true;
                self.server.nudge();
            } else {
                self.advance_clock()?;
            }
        }
        Err("the session does not end".to_owned())
    }

    fn is_broken(&self) -> bool {
        match self.fault {
            Some(Fault::ClientBreak(at)) => self.written >= at,
            Some(Fault::ServerBreak(at)) => self.heard >= at,
            _ => false,
        }
    }

    /// Moves octets from the server to the client. Returns whether anything happened.
    fn server_speaks(&mut self, most: usize) -> bool {
        let mut moved = false;
        loop {
            let said = self.server.say();
            if said.is_empty() {
                break;
            }
            moved = true;
            let allowed = match self.fault {
                Some(Fault::ServerBreak(at) | Fault::Silence(at)) => at.saturating_sub(self.heard),
                _ => usize::MAX,
            };
            let arrives = &said[..said.len().min(allowed)];
            self.heard += said.len();
            for piece in arrives.chunks(most.max(1)) {
                self.client.handle_input(self.now, piece);
            }
        }
        if (self.server.has_hung_up() || self.is_broken()) && !self.client.is_closed() {
            self.client.handle_eof(self.now);
            moved = true;
        }
        if self.client.is_awaiting_tls() && self.server.tls_wanted() {
            let info = TlsInfo::new("TLSv1.3", "TLS_AES_128_GCM_SHA256");
            if self.client.handle_tls_established(self.now, info).is_ok() {
                self.server.tls_established();
                moved = true;
            }
        }
        moved
    }

    fn client_speaks(&mut self, most: usize) -> bool {
        let allowed = match self.fault {
            Some(Fault::ClientBreak(at)) => at.saturating_sub(self.written),
            Some(Fault::ServerBreak(_)) if self.is_broken() => 0,
            _ => usize::MAX,
        };
        let mut output = self.client.output();
        let octets = output.remaining().min(most).min(allowed);
        let octets = output.copy_to_bytes(octets);
        drop(output);
        self.written += octets.len();
        if !octets.is_empty() {
            self.server.receive(&octets);
        }
        !octets.is_empty()
    }

    fn hear_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Report(report) => {
                    let id = usize::try_from(report.transaction().index()).unwrap_or(usize::MAX);
                    self.reports.push(reported(id, &report));
                }
                Event::BodyWanted(id) => {
                    let at = usize::try_from(id.index()).unwrap_or(usize::MAX);
                    let (content, passed) = (&self.messages[at].content, &mut self.passed[at]);
                    let piece = self.streamed[at].unwrap_or(1).min(content.len() - *passed);
                    let chunk = content.slice(*passed..*passed + piece);
                    *passed += piece;
                    // The message may have its verdict by now.
                    let _ = if chunk.is_empty() {
                        self.client.body_end(id)
                    } else {
                        self.client.body_chunk(id, Bytes::copy_from_slice(&chunk))
                    };
                }
                Event::Closed(_) => self.closed += 1,
                _ => {}
            }
        }
    }

    fn advance_clock(&mut self) -> Result<(), String> {
        let next = self.client.poll_timeout();
        let next = next.ok_or("the client waits for something without a deadline")?;
        if next > self.now + Duration::from_secs(601) {
            return Err("a deadline is beyond its bounds".to_owned());
        }
        self.now = self.now.max(next);
        self.client.handle_timeout(self.now);
        if self.client.is_closed() {
            self.timed_out = true;
        }
        Ok(())
    }

    /// Whether this server, over this wire, answers everything that a careful client asks.
    fn is_responsive(&self) -> bool {
        let dialect = &self.dialect;
        self.fault.is_none()
            && self.is_safe()
            && self.pipelining != Pipelining::Bold
            && dialect.vanish_at.is_none()
            && dialect.vanish_after_taking.is_none()
            && dialect.half_close_at.is_none()
            && dialect.closing.is_none()
            && dialect.lmtp_finals == LmtpFinals::EachRecipient
            && !dialect.drops_after_error
    }

    /// Whether the client promises the truth about what this dialect does.
    fn is_safe(&self) -> bool {
        let bold = self.pipelining == Pipelining::Bold;
        // Under Bold, the content of the next message follows RSET before its reply.
        if bold && !executes_every_reset(&self.dialect) {
            return false;
        }
        let is_lmtp = self.dialect.protocol == postwire_reference::Protocol::Lmtp;
        // A 421 counts for the recipients of LMTP that get no reply behind it.
        if is_lmtp && self.dialect.closing.as_ref().is_some_and(continues) {
            return false;
        }
        let pipelines = self.pipelining != Pipelining::Off;
        self.dialect.misleading().iter().all(|way| match way {
            Misleading::MissingReply
            | Misleading::ContentForNobody
            | Misleading::OpenTransaction
            | Misleading::FarewellForContent => !bold,
            // Who reads the first chunk, and a later one not, carries it out.
            Misleading::UnreadChunk => {
                !bold
                    && matches!(
                        self.dialect.bdat,
                        Bdat::Refused | Bdat::Unknown | Bdat::Accepted
                    )
            }
            // Nothing follows the end of a content, and no content its DATA.
            Misleading::DroppedInput => !pipelines || (!bold && !self.dialect.drops_after_error),
            // LMTP's verdicts wait for the reply to a later command.
            Misleading::SurplusReply => {
                !bold
                    && self.dialect.surplus_after.is_none()
                    && self.dialect.second_greeting.is_none()
            }
        })
    }

    fn verdict(&self) -> Result<Outcomes, String> {
        if self.closed != 1 {
            return Err(format!("the client closed {} times", self.closed));
        }
        let mut sent: Vec<_> = self
            .messages
            .iter()
            .map(|message| message.sent.clone())
            .collect();
        if self.dialect.protocol == postwire_reference::Protocol::Lmtp {
            // The server decides for each recipient after the content (RFC 2033 §4.2).
            for sent in &mut sent {
                sent.all_or_nothing = false;
            }
        }
        let ids: Vec<_> = self.reports.iter().map(|report| report.id).collect();
        if ids != (0..sent.len()).collect::<Vec<_>>() {
            return Err(format!("the reports are about {ids:?}"));
        }
        let is_judged = self.is_safe();
        if is_judged {
            let taken: Vec<_> = self.server.taken().iter().collect();
            judge(&sent, &self.reports, &taken)?;
        }
        if self.timed_out && self.is_responsive() {
            return Err("the client waited for a reply that does not come".to_owned());
        }
        let own = if self.pipelining == Pipelining::Off || executes_every_reset(&self.dialect) {
            self.server.misled_after().unwrap_or(usize::MAX)
        } else {
            // The commands of the next message follow RSET before its reply.
            0
        };
        let offences = self.server.offences().iter().take(own);
        let offences: Vec<&Offence> = offences.collect();
        if !offences.is_empty() {
            return Err(format!(
                "the client did what no client may do: {offences:?}"
            ));
        }
        Ok(Outcomes {
            is_judged,
            taken: self.server.taken().len(),
            messages: sent.len(),
        })
    }

    fn describe(&self, why: &str) -> String {
        let mut text = format!(
            "{why}\n{:?}, {:?}, {:?}, streams {:?}, cuts {:?}\nmisleading: {:?}\n",
            self.security,
            self.pipelining,
            self.fault,
            self.streamed,
            self.cuts,
            self.dialect.misleading(),
        );
        let default = format!("{:#?}", Dialect::default());
        for line in format!("{:#?}", self.dialect).lines() {
            if !default.lines().any(|same| same == line) {
                let _ = writeln!(text, "  {}", line.trim());
            }
        }
        for report in &self.reports {
            let _ = writeln!(text, "{report:?}");
        }
        let _ = writeln!(text, "taken:");
        for taken in self.server.taken() {
            let content = String::from_utf8_lossy(&taken.content);
            let _ = writeln!(
                text,
                "  {:?} {:?} {content:.60?} said: {}",
                taken.reverse_path, taken.recipients, taken.said
            );
        }
        let _ = writeln!(text, "--- dialogue\n{}", self.server.dialogue());
        text
    }
}

/// Whether the server goes on after its 421.
fn continues(closing: &Closing) -> bool {
    closing.then == AfterClosing::Continue
}

/// Whether the server ends its transaction at each `RSET`, or says that it does.
fn executes_every_reset(dialect: &Dialect) -> bool {
    !matches!(dialect.rset, Rset::Refused(_)) && !dialect.closing.as_ref().is_some_and(continues)
}

/// What a world came to, to see that the tests reach something.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes {
    /// Whether the whole judgement applied.
    pub is_judged: bool,
    /// The contents that the server took.
    pub taken: usize,
    /// The messages that were sent.
    pub messages: usize,
}
