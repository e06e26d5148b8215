//! The delivery of all messages, over as many sessions as they take.
//!
//! Carries out the steps of a [`Batch`], which decides which message goes over which session.
//! Must never decide that, nor know how a result is printed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use postwire_blocking::Chunks;
use postwire_blocking::proto::{
    BodySource, Envelope, Error, ErrorKind, Event, Report, Stage, TraceLine, TransactionId,
};
use postwire_blocking::transport::TransportConfig;
use postwire_blocking::transport::adapter::{Batch, BatchStep};

use crate::arguments::Runtime;
use crate::print::facts::SessionFacts;
use crate::print::hints;
use crate::print::output::{print_error, print_note};
use crate::print::text::SafeText;
use crate::send::Printer;
use crate::send::interrupt::Interrupt;
use crate::send::messages::Message;
use crate::send::meter::Meter;
use crate::send::session::{self, Failed, Session};

/// Sends every message, and prints each result in order.
pub(super) fn deliver(
    runtime: Runtime,
    config: &TransportConfig,
    envelope: &Envelope,
    messages: &[Message],
    printer: Printer,
) -> Printer {
    let mut batch = Batch::new(u64::MAX);
    for message in messages {
        let (envelope, body) = (envelope.clone(), message.body.clone());
        match config.client_config().not_sent_report(&envelope, &body) {
            Some(report) => batch.add_settled(envelope, body, report),
            None => batch.add(envelope, body),
        }
    }
    batch.end();
    let meter = Meter::new(printer.bar.clone());
    let mut results = Results::new(messages, printer);
    let interrupt = Interrupt::listen();
    let mut live: Option<Live> = None;
    loop {
        match (batch.next_step(), &mut live) {
            (BatchStep::Report(report), _) => results.print(&report),
            (BatchStep::Connect, _) => {
                if let Some(live) = live.take() {
                    live.leave();
                }
                interrupt.set_action(nothing_more_is_sent(&batch, &results));
                match connect(runtime, config, &meter, &interrupt, &results.printer) {
                    Ok(session) => {
                        batch.connected(false);
                        live = Some(session);
                    }
                    Err(Failed { error, facts }) => {
                        results.last = *facts;
                        batch.failed(error);
                    }
                }
            }
            (
                BatchStep::Enqueue {
                    number,
                    envelope,
                    body,
                },
                Some(live),
            ) => live.enqueue(number, envelope, body),
            (BatchStep::Await, Some(live)) => match live.next_report(messages) {
                Some(report) => {
                    results.record(live.given.pop_front(), live.session.facts());
                    batch.reported(report);
                }
                None => batch.disconnected(),
            },
            (BatchStep::Enqueue { .. } | BatchStep::Await, None) => batch.disconnected(),
            (BatchStep::Done, _) => break,
        }
    }
    if let Some(live) = live {
        live.leave();
    }
    if interrupt.was_pressed() {
        print_error("interrupted");
    }
    results.printer
}

/// What is printed of each message.
#[derive(Clone)]
struct Results {
    messages: Vec<Message>,
    printer: Printer,
    /// How many were printed.
    printed: usize,
    /// The facts about the session of each message that a session reported on.
    facts: Vec<Option<SessionFacts>>,
    /// The facts about the last session.
    last: SessionFacts,
}

impl Results {
    fn new(messages: &[Message], printer: Printer) -> Self {
        Self {
            messages: messages.to_vec(),
            printer,
            printed: 0,
            facts: vec![None; messages.len()],
            last: SessionFacts::default(),
        }
    }

    /// A session reported on the message with this number.
    fn record(&mut self, number: Option<u64>, facts: SessionFacts) {
        let number = number.and_then(|number| usize::try_from(number).ok());
        if let Some(slot) = number.and_then(|number| self.facts.get_mut(number)) {
            *slot = Some(facts.clone());
        }
        self.last = facts;
    }

    /// Prints the result of the next message.
    fn print(&mut self, report: &Report) {
        let position = self.printed;
        self.printed += 1;
        if let Some(message) = self.messages.get(position) {
            let facts = self.facts[position].as_ref().unwrap_or(&self.last);
            self.printer.print(position, message, report, facts);
        }
    }
}

/// The action of Ctrl-C while there is no connection: prints a result for every message that
/// has none yet, and ends the program.
fn nothing_more_is_sent(batch: &Batch, results: &Results) -> impl FnOnce() + Send + 'static {
    let (mut batch, mut results) = (batch.clone(), results.clone());
    move || {
        batch.failed(Error::new(Stage::Connect, ErrorKind::Aborted));
        while let BatchStep::Report(report) = batch.next_step() {
            results.print(&report);
        }
        print_error("interrupted");
        std::process::exit(results.printer.finish().code().into());
    }
}

fn connect(
    runtime: Runtime,
    config: &TransportConfig,
    meter: &Meter,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Live, Failed> {
    let mut traced = |line: &TraceLine| print_note(SafeText(&line.to_string()));
    let session = session::open(runtime, config, meter, interrupt, &mut traced)?;
    if let Some(news) = hints::of_session(&printer.asked, &session.facts()) {
        printer
            .bar
            .suspend(|| print_note(format_args!("note: {news}")));
    }
    Ok(Live {
        session,
        numbers: Vec::new(),
        given: VecDeque::new(),
        pieces: None,
        quits: false,
    })
}

/// A session in use.
struct Live {
    session: Session,
    /// The numbers of the messages that the session was given, in order.
    numbers: Vec<u64>,
    /// Those of them that it has not reported on.
    given: VecDeque<u64>,
    /// The content that is being read, and for which message.
    pieces: Option<(TransactionId, Pieces)>,
    quits: bool,
}

type Pieces = Option<io::Result<Chunks<Arc<File>>>>;

impl Live {
    fn enqueue(&mut self, number: u64, envelope: Envelope, body: BodySource) {
        self.numbers.push(number);
        self.given.push_back(number);
        self.session.enqueue(envelope, body);
    }

    /// Waits for the next report; `None` once the session is over.
    fn next_report(&mut self, messages: &[Message]) -> Option<Report> {
        // Everything for this session has been given to it.
        if !self.quits {
            self.quits = true;
            self.session.begin_quit();
        }
        loop {
            match self.session.next_event()? {
                Event::Report(report) => return Some(report),
                Event::BodyWanted(id) => {
                    let next = self.next_piece(id, messages);
                    self.session.body_next(id, next);
                }
                Event::Trace(line) => print_note(SafeText(&line.to_string())),
                _ => {}
            }
        }
    }

    /// The next piece of the content. Only one message's content is requested at a time.
    fn next_piece(&mut self, id: TransactionId, messages: &[Message]) -> Option<io::Result<Bytes>> {
        if self.pieces.as_ref().is_none_or(|(of, _)| *of != id) {
            self.pieces = Some((id, self.pieces_of(id, messages)));
        }
        let (_, pieces) = self.pieces.as_mut()?;
        match pieces.as_mut()? {
            Ok(chunks) => chunks.next(),
            Err(_) => pieces.take()?.err().map(Err),
        }
    }

    /// The content of the message to which the session gave this identifier.
    fn pieces_of(&self, id: TransactionId, messages: &[Message]) -> Pieces {
        let nth = usize::try_from(id.index()).ok()?;
        let number = usize::try_from(*self.numbers.get(nth)?).ok()?;
        messages.get(number)?.pieces()
    }

    /// Waits for the end of the session.
    fn leave(mut self) {
        if !self.quits {
            self.session.begin_quit();
        }
        while let Some(event) = self.session.next_event() {
            if let Event::Trace(line) = event {
                print_note(SafeText(&line.to_string()));
            }
        }
    }
}
