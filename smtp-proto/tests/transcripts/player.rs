//! Plays a script: drives a client as a socket and a clock do, and compares the results.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{
    Capability, Client, ClientConfig, CommandId, Credentials, Endpoint, Event, Instant, Misuse,
    Outcome, Security, TlsInfo, TransactionId, TransportError,
};

use crate::notation::{difference, encodings_of_secret, matches_expectation, show_report};
use crate::script::{Script, Step};

/// What is cut into single bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cuts {
    None,
    Input,
    Output,
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "input and output whole",
            Self::Input => "input byte by byte",
            Self::Output => "output byte by byte",
        })
    }
}

/// How many times in a row a client may ask for the time.
const MAX_TIMEOUT_CALLS: usize = 4;

/// Plays the script and returns everything that happened, in order.
pub(crate) fn play(script: &Script, cuts: Cuts) -> Result<Vec<String>, String> {
    let mut player = Player::new(script, cuts);
    player.advance_clock()?;
    for (line, step) in &script.steps {
        player
            .step(step)
            .map_err(|error| player.failure(*line, &error))?;
    }
    let last = script.steps.last().map_or(1, |(line, _)| *line);
    player
        .finish(&script.config, &script.credentials)
        .map_err(|error| player.failure(last, &error))?;
    Ok(player.log)
}

/// How a session can be cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    EndOfFile,
    TransportError,
    ServiceClosing,
    Garbage,
    Surplus,
    Silence,
    Abort,
    Quit,
}

impl Ending {
    pub(crate) const ALL: [Self; 8] = [
        Self::EndOfFile,
        Self::TransportError,
        Self::ServiceClosing,
        Self::Garbage,
        Self::Surplus,
        Self::Silence,
        Self::Abort,
        Self::Quit,
    ];
}

/// Plays the first steps and cuts the session off. In every state, each message must have one
/// report, and only a message whose end was written may be in doubt.
pub(crate) fn cut_off(script: &Script, steps: usize, ending: Ending) -> Result<(), String> {
    let mut player = Player::new(script, Cuts::None);
    player.advance_clock()?;
    let mut line = 1;
    for (number, step) in &script.steps[..steps] {
        line = *number;
        player
            .step(step)
            .map_err(|error| player.failure(line, &error))?;
    }
    player
        .end(ending, script)
        .map_err(|error| player.failure(line, &format!("then {ending:?}: {error}")))
}

struct Player {
    client: Client,
    cuts: Cuts,
    now: Instant,
    /// The socket is full.
    stalled: bool,
    messages: Vec<TransactionId>,
    reported: Vec<TransactionId>,
    commands: Vec<CommandId>,
    answered: Vec<CommandId>,
    /// Events that the script has not listed yet.
    pending: VecDeque<String>,
    trace: Vec<String>,
    /// Everything that happened.
    log: Vec<String>,
    /// Every text that could be shown to a user.
    shown: String,
    has_secret: bool,
    written: Vec<u8>,
    written_before_tls: Vec<u8>,
    tls: bool,
    in_doubt: usize,
}

impl Player {
    fn new(script: &Script, cuts: Cuts) -> Self {
        let mut client = Client::new(Arc::new(script.config.clone()));
        client.set_nonce(&script.nonce);
        if let Some(address) = script.local_address {
            client.set_local_address(address);
        }
        Self {
            client,
            cuts,
            // Not the epoch: the caller chooses the clock.
            now: Instant::from_epoch(Duration::from_secs(1_000)),
            stalled: false,
            messages: Vec::new(),
            reported: Vec::new(),
            commands: Vec::new(),
            answered: Vec::new(),
            pending: VecDeque::new(),
            trace: Vec::new(),
            log: Vec::new(),
            shown: String::new(),
            has_secret: !script.credentials.is_empty(),
            written: Vec::new(),
            written_before_tls: Vec::new(),
            tls: false,
            in_doubt: 0,
        }
    }

    fn failure(&self, line: usize, error: &str) -> String {
        let mut text = format!("{line}: ({}) {error}\n  so far:\n", self.cuts);
        for line in &self.log[self.log.len().saturating_sub(12)..] {
            let _ = writeln!(text, "    | {line}");
        }
        text
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Flight(expected) => self.expect_flight(expected)?,
            Step::Event(expected) => return self.expect_event(expected),
            Step::Trace(line) => return self.expect_trace(line),
            Step::NotTraced(text) => {
                let mut trace = self.trace.iter();
                let traced = trace.find(|line| line.contains(text));
                return check(traced.is_none(), || format!("traced: {traced:?}"));
            }
            Step::Idle(idle) => {
                return check(self.client.is_idle() == *idle, || {
                    format!("idle: {}", self.client.is_idle())
                });
            }
            Step::Offered(keywords) => return self.expect_offered(keywords),
            Step::Greeting(expected) => {
                let greeting = self.client.greeting().map(ToString::to_string);
                return check(greeting.as_deref().unwrap_or("none") == expected, || {
                    format!("the greeting is {greeting:?}")
                });
            }
            Step::NoDeadline => {
                let deadline = self.client.poll_timeout();
                return check(deadline.is_none(), || format!("a deadline: {deadline:?}"));
            }
            stimulus => {
                if matches!(
                    stimulus,
                    Step::TlsEstablished(_) | Step::TlsVerified | Step::TlsFailed(_)
                ) {
                    self.skip("TLS wanted");
                }
                if matches!(stimulus, Step::Stall | Step::Take(_)) {
                    self.stalled = true;
                }
                self.expect_nothing_more()?;
                self.stimulate(stimulus)?;
            }
        }
        self.advance_clock()
    }

    fn stimulate(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match step {
            Step::Arrives(octets) => {
                self.note(format!("S: {}", octets.escape_ascii()));
                let cut = match self.cuts {
                    Cuts::Input => 1,
                    _ => octets.len(),
                };
                for piece in octets.chunks(cut.max(1)) {
                    self.client.handle_input(now, piece);
                }
            }
            Step::EndOfFile => self.client.handle_eof(now),
            Step::TransportError(reason) => {
                self.client.handle_transport_error(now, error(reason));
            }
            Step::Stall => {}
            Step::Take(octets) => {
                let taken = self.take(*octets);
                check(taken.len() == *octets, || {
                    format!("only {} octets could be taken", taken.len())
                })?;
            }
            Step::Message(envelope, body) => {
                let id = self.client.enqueue(envelope.clone(), body.clone());
                self.messages.push(id);
            }
            Step::Command(command) => {
                let id = self.client.command(command.clone());
                self.commands.push(id);
            }
            Step::Quit => self.client.quit(),
            Step::Abort => self.client.abort(),
            Step::Chunk {
                message,
                octets,
                misuse,
            } => {
                let chunk = Bytes::from(octets.clone());
                let result = self.client.body_chunk(self.messages[*message], chunk);
                check_call(result, *misuse)?;
            }
            Step::End { message, misuse } => {
                check_call(self.client.body_end(self.messages[*message]), *misuse)?;
            }
            Step::Fail { message, reason } => {
                let id = self.messages[*message];
                check_call(self.client.body_failed(id, error(reason)), false)?;
            }
            Step::Credentials(credentials, misuse) => {
                check_call(self.client.credentials(credentials.clone()), *misuse)?;
            }
            Step::CredentialsFailed(reason, misuse) => {
                check_call(self.client.credentials_failed(error(reason)), *misuse)?;
            }
            Step::TlsEstablished(binding) => {
                self.note("TLS established".into());
                let mut info = TlsInfo::new("TLSv1.3", "TLS13_AES_256_GCM_SHA384");
                if let Some(binding) = binding {
                    info = info.with_channel_binding(binding.clone());
                }
                check_call(self.client.handle_tls_established(now, info), false)?;
                self.tls = true;
            }
            Step::TlsVerified => {
                self.note("TLS established".into());
                let info = TlsInfo::new("TLSv1.3", "TLS13_AES_256_GCM_SHA384");
                let info = info.with_certificate_verified(true);
                check_call(self.client.handle_tls_established(now, info), false)?;
                self.tls = true;
            }
            Step::TlsFailed(reason) => self.client.handle_tls_failed(now, error(reason)),
            Step::TlsInjection(said) => {
                for piece in said.as_bytes().chunks(3) {
                    self.client.handle_starttls_injection(now, piece);
                }
            }
            Step::Passes(duration) => {
                self.pass(*duration);
                check(!self.client.is_closed(), || "it ended too early".to_owned())?;
            }
            Step::TimesOut(duration) => {
                let moment = Duration::from_nanos(1);
                self.pass(duration.saturating_sub(moment));
                check(!self.client.is_closed(), || "it ended too early".to_owned())?;
                self.pass(moment);
                check(self.client.is_closed(), || {
                    format!(
                        "not over; the next deadline: {:?}",
                        self.client.poll_timeout()
                    )
                })?;
            }
            _ => unreachable!("claims are no stimuli"),
        }
        self.collect();
        Ok(())
    }

    // ---- the driver

    /// Lets time pass as a driver does, which wakes at each deadline.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(deadline) = self.client.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            self.client.handle_timeout(self.now);
        }
        self.now = until;
        // A call before or after the deadline must do no harm.
        self.client.handle_timeout(until);
    }

    /// Passes the time once for a deadline in the past; the client must not ask again.
    fn advance_clock(&mut self) -> Result<(), String> {
        for _ in 0..MAX_TIMEOUT_CALLS {
            match self.client.poll_timeout() {
                Some(deadline) if deadline <= self.now => self.client.handle_timeout(self.now),
                _ => {
                    self.collect();
                    return Ok(());
                }
            }
        }
        Err("asks for the time repeatedly".into())
    }

    /// Takes up to `most` octets of output, as a socket with this much room does.
    fn take(&mut self, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < most {
            let mut output = self.client.output();
            let wanted = output.remaining().min(most - all.len());
            if wanted == 0 {
                break;
            }
            if self.cuts == Cuts::Output {
                all.push(output.chunk()[0]);
                output.advance(1);
                continue;
            }
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = output.chunks_vectored(&mut slices);
            let room = all.len() + wanted;
            for slice in &slices[..filled] {
                let part = slice.len().min(room - all.len());
                all.extend_from_slice(&slice[..part]);
            }
            let taken = wanted - (room - all.len());
            output.advance(taken);
        }
        self.written.extend_from_slice(&all);
        if !self.tls {
            self.written_before_tls.extend_from_slice(&all);
        }
        all
    }

    fn collect(&mut self) {
        while let Some(event) = self.client.poll_event() {
            let _ = writeln!(self.shown, "{event:?}");
            let line = match &event {
                Event::Report(report) => {
                    self.reported.push(report.transaction());
                    self.in_doubt += usize::from(matches!(report.outcome(), Outcome::InDoubt(_)));
                    let _ = writeln!(self.shown, "{report}");
                    show_report(report)
                }
                Event::Reply(id, reply) => {
                    self.answered.push(*id);
                    match reply {
                        Ok(reply) => format!("reply {}: {reply}", id.index()),
                        Err(error) => format!("reply {}: none: {error}", id.index()),
                    }
                }
                Event::Ready => "ready".into(),
                Event::StartTls => "TLS wanted".into(),
                Event::CredentialsWanted(None) => "credentials wanted".into(),
                Event::CredentialsWanted(Some(error)) => format!("credentials wanted: {error}"),
                Event::BodyWanted(id) => format!("wanted {}", id.index()),
                Event::Trace(trace) => {
                    let _ = writeln!(self.shown, "{trace}");
                    self.trace.push(trace.to_string());
                    continue;
                }
                Event::Closed(None) => "closed: clean".into(),
                Event::Closed(Some(error)) => format!("closed: {error}"),
                other => format!("{other:?}"),
            };
            let _ = writeln!(self.shown, "{line}");
            self.note(line.clone());
            self.pending.push_back(line);
        }
        if self.has_secret {
            let _ = writeln!(self.shown, "{:?}", self.client);
        }
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    // ---- expectations

    fn expect_flight(&mut self, expected: &[u8]) -> Result<(), String> {
        let written = self.take(usize::MAX);
        self.stalled = false;
        self.note(format!("C: {}", written.escape_ascii()));
        check(written == expected, || {
            format!(
                "the client writes something else\n{}",
                difference(expected, &written)
            )
        })
    }

    /// Checks that the script has listed all output and all events before the next step.
    fn expect_nothing_more(&mut self) -> Result<(), String> {
        if !self.stalled || self.client.is_closed() {
            let written = self.take(usize::MAX);
            check(written.is_empty(), || {
                format!("the client writes more\n{}", difference(b"", &written))
            })?;
        }
        self.pending.retain(|event| event != "ready");
        check(self.pending.is_empty(), || {
            let events: Vec<_> = self.pending.iter().map(|e| format!("    {e}")).collect();
            format!("more happened:\n{}", events.join("\n"))
        })
    }

    fn expect_event(&mut self, expected: &str) -> Result<(), String> {
        if expected != "ready" {
            while self.skip("ready") {}
        }
        let event = self.pending.pop_front();
        let Some(event) = event else {
            return Err(format!("did not happen: {expected}"));
        };
        check(matches_expectation(&event, expected), || {
            format!("another event happened\n  - {expected}\n  + {event}")
        })
    }

    /// Removes the next event if it is this one.
    fn skip(&mut self, event: &str) -> bool {
        let is_next = self.pending.front().is_some_and(|next| next == event);
        if is_next {
            self.pending.pop_front();
        }
        is_next
    }

    fn expect_trace(&mut self, line: &str) -> Result<(), String> {
        check(self.trace.iter().any(|traced| traced == line), || {
            format!(
                "not in the trace: {line}\n    {}",
                self.trace.join("\n    ")
            )
        })
    }

    fn expect_offered(&self, keywords: &[String]) -> Result<(), String> {
        let offered: Vec<&str> = self
            .client
            .capabilities()
            .iter()
            .flat_map(|capabilities| capabilities.iter())
            .map(Capability::keyword)
            .collect();
        check(offered == keywords, || format!("offered: {offered:?}"))
    }

    /// Cuts the session off, and checks what must hold in every case.
    fn end(&mut self, ending: Ending, script: &Script) -> Result<(), String> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let now = self.now;
        match ending {
            Ending::EndOfFile => self.client.handle_eof(now),
            Ending::TransportError => self.client.handle_transport_error(now, error("broken")),
            Ending::ServiceClosing => self.client.handle_input(now, b"421 4.3.2 going down\r\n"),
            Ending::Garbage => self.client.handle_input(now, b"\0"),
            Ending::Surplus => self.client.handle_input(now, &b"250 ok\r\n".repeat(1_000)),
            Ending::Silence => self.pass(DAY),
            Ending::Abort => self.client.abort(),
            Ending::Quit => {
                self.client.quit();
                self.take(usize::MAX);
                self.pass(DAY);
            }
        }
        self.collect();
        // An idle session, or a slow source, has no deadline.
        self.client.abort();
        self.collect();
        self.pending.clear();
        let ends = |end: &[u8]| {
            let windows = self.written.windows(end.len());
            windows.filter(|window| *window == end).count()
        };
        let complete = ends(b"\r\n.\r\n") + ends(b" LAST\r\n");
        check(self.in_doubt <= complete, || {
            format!("{} in doubt, {complete} complete", self.in_doubt)
        })?;
        check(self.client.is_closed(), || "is not closed".to_owned())?;
        self.finish(&script.config, &script.credentials)
    }

    /// Checks what must hold at the end of every session.
    fn finish(&mut self, config: &ClientConfig, credentials: &[Credentials]) -> Result<(), String> {
        self.expect_nothing_more()?;
        check(self.reported == self.messages, || {
            format!(
                "one report for each message, in order: {:?} for {:?}",
                self.reported, self.messages
            )
        })?;
        check(self.answered == self.commands, || {
            format!(
                "one answer to each command, in order: {:?} for {:?}",
                self.answered, self.commands
            )
        })?;
        if self.client.is_closed() {
            let deadline = self.client.poll_timeout();
            check(deadline.is_none(), || {
                "a closed session waits for something".to_owned()
            })?;
        }
        if config.security == Security::Required {
            for line in self
                .written_before_tls
                .split_inclusive(|octet| *octet == b'\n')
            {
                let allowed = [&b"EHLO "[..], b"LHLO ", b"STARTTLS\r\n", b"QUIT\r\n"];
                check(allowed.iter().any(|verb| line.starts_with(verb)), || {
                    format!("written before TLS: {}", line.escape_ascii())
                })?;
            }
        }
        let _ = writeln!(self.shown, "{config:?}");
        let secrets = credentials.iter().map(|known| known.secret().expose());
        for form in secrets.flat_map(encodings_of_secret) {
            check(!self.shown.contains(&form), || {
                format!("shows the secret, as {form}")
            })?;
        }
        Ok(())
    }
}

fn check(holds: bool, error: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(error()) }
}

fn check_call(result: Result<(), Misuse>, misuse: bool) -> Result<(), String> {
    check(result.is_err() == misuse, || {
        format!("the call's result is {result:?}")
    })
}

fn error(reason: &str) -> TransportError {
    Arc::new(std::io::Error::other(reason.to_owned()))
}
