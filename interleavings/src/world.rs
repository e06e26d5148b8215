//! A world: a transport of one of the adapters, its servers, and the threads of a program that sends
//! through it.

use std::sync::Arc;
use std::time::Duration;

use postwire_reference::{Dialect, Protocol};
use postwire_transport::proto::{Pipelining, Report, SendError};
use postwire_transport::{Counters, TransportBuilder, TransportConfig, reset_clock};
use postwire_worlds::cells::{Cell, RefCell};
use postwire_worlds::choices::Choices;
use postwire_worlds::messages::{self, Message, message};
use postwire_worlds::oracle::{answers_everything, is_safe};
use postwire_worlds::scene;
use shuttle::rand::RngCore as _;
use shuttle::thread;

use crate::accounts::{Accounts, Outcomes};
use crate::network::{Conditions, Network};
use crate::upset;

/// A transport of an adapter, as the threads of a program use it.
pub trait Program: Send + Sync + 'static {
    /// The transport of this world.
    fn new(world: &World) -> Self;

    /// Sends these messages, by one call or several, and may leave early.
    fn send(&self, world: &World, messages: &[Message]);

    /// Closes idle connections, and takes the abandoned reports.
    fn clean_up(&self) -> Vec<Report>;

    /// Shuts the transport down.
    fn shut_down(&self) -> Vec<Report>;

    /// The state of the transport.
    fn counters(&self) -> Counters;
}

/// What the threads of a world share besides their transport.
#[derive(Debug)]
pub struct World {
    /// The servers.
    pub network: Arc<Network>,
    /// The configuration of the transport.
    pub config: TransportConfig,
    accounts: RefCell<Accounts>,
    messages: Cell<usize>,
    pipelining: Pipelining,
    protocol: Protocol,
    /// One send in this many is upset; 0 if none is.
    upsets: usize,
}

/// Runs one schedule of a random world. One send in one of the numbers `upsets` is interrupted by a panic of
/// the program; 0 stands for none.
///
/// # Panics
///
/// If the client did something wrong.
pub fn run<P: Program>(upsets: &[usize]) -> Outcomes {
    reset_clock();
    let mut choices = Choices::from_seed(shuttle::rand::thread_rng().next_u64());
    let threads = 2 + choices.below(3);
    let (is_shut_down, is_kept) = (choices.once_in(3), choices.once_in(3));
    let world = World::new(&mut choices, upsets);
    let shared = Arc::new((P::new(&world), world));
    let mut running = Vec::new();
    let mut spawn = |run: fn(&P, &World)| {
        let shared = Arc::clone(&shared);
        running.push(thread::spawn(move || run(&shared.0, &shared.1)));
    };
    for _ in 0..threads {
        spawn(send_some);
    }
    if is_shut_down {
        spawn(shut_down);
    }
    if is_kept {
        spawn(clean_up);
    }
    for thread in running {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    match Arc::try_unwrap(shared) {
        Ok((program, world)) => end(program, &world),
        Err(_) => unreachable!("all threads have ended"),
    }
}

/// One thread: a few sends, one after the other.
fn send_some(program: &impl Program, world: &World) {
    let network = &world.network;
    for _ in 0..=network.below(3) {
        if network.once_in(world.upsets) {
            upset::unwind_after(network.below(16));
        }
        if network.once_in(world.upsets) {
            upset::panic_in_waker_after(network.below(3));
        }
        let count = if network.once_in(4) {
            1 + network.below(3)
        } else {
            1
        };
        let messages: Vec<Message> = (0..count).map(|_| world.message()).collect();
        if upset::contained(|| program.send(world, &messages)).is_none() {
            let mut accounts = world.accounts.borrow_mut();
            for message in &messages {
                accounts.upset(message.sent.id);
            }
        }
    }
}

fn shut_down(program: &impl Program, world: &World) {
    world.pass_turns();
    world.abandoned(&program.shut_down());
}

/// What a program does from time to time.
fn clean_up(program: &impl Program, world: &World) {
    for _ in 0..=world.network.below(3) {
        world.pass_turns();
        world.abandoned(&program.clean_up());
    }
}

/// Ends the transport, and judges what was sent.
fn end(program: impl Program, world: &World) -> Outcomes {
    let counters = program.counters();
    let held = [
        counters.opening,
        counters.in_use,
        counters.waiting,
        counters.queued,
    ];
    assert_eq!(held, [0; 4], "all sends have ended: {counters:?}");
    let abandoned = if world.network.once_in(2) {
        program.shut_down()
    } else {
        program.clean_up()
    };
    world.abandoned(&abandoned);
    drop(program);
    world.network.join_servers();
    let accounts = world.accounts.borrow();
    let verdict = accounts.verdict(&world.network, world.protocol, world.pipelining);
    verdict.unwrap_or_else(|why| panic!("{why}"))
}

impl World {
    fn new(choices: &mut Choices, upsets: &[usize]) -> Self {
        let pipelining = scene::pipelining(choices);
        let protocol = choices.pick(&[Protocol::Smtp, Protocol::Smtp, Protocol::Lmtp]);
        let max_connections = choices.pick(&[1, 1, 2, 3]);
        let upsets = choices.pick(upsets);
        let conditions = Conditions {
            dialects: vec![
                dialect(choices, protocol, pipelining),
                dialect(choices, protocol, pipelining),
            ],
            faults: choices.pick(&[0, 0, 2, 5]),
            blocks: choices.pick(&[0, 0, 4, 20]),
            single: choices.pick(&[0, 0, 0, 2]),
            pace: choices.pick(&[Duration::ZERO, Duration::from_millis(1)]),
            max_connections,
        };
        Self {
            config: config(choices, protocol, pipelining, max_connections),
            network: Arc::new(Network::new(choices.clone(), conditions)),
            accounts: RefCell::default(),
            messages: Cell::new(0),
            pipelining,
            protocol,
            upsets,
        }
    }

    /// The next message of this world.
    fn message(&self) -> Message {
        let id = self.messages.get();
        self.messages.set(id + 1);
        let seed = u64::try_from(self.network.below(1 << 20)).unwrap_or_default();
        let mut message = message(id, &mut Choices::from_seed(seed));
        if self.network.once_in(4) {
            // A server without 8BITMIME gets no such message: the report follows at once.
            let content = [&message.content[..], "gr\u{fc}\u{df}e\r\n".as_bytes()].concat();
            message.sent.content.clone_from(&content);
            message.content = content.into();
        }
        self.accounts.borrow_mut().given(message.clone());
        message
    }

    /// Records the report on a message.
    pub fn reported(&self, message: &Message, report: &Report) {
        let id = message.sent.id;
        self.accounts.borrow_mut().reported(id, report);
    }

    /// Records the result of sending a message.
    pub fn sent(&self, message: &Message, sent: Result<Report, SendError>) {
        self.reported(message, &messages::report(sent));
    }

    fn abandoned(&self, reports: &[Report]) {
        self.accounts.borrow_mut().abandoned(reports);
    }

    fn pass_turns(&self) {
        for _ in 0..self.network.below(20) {
            thread::yield_now();
        }
    }
}

/// A server that answers everything, since nobody's time limit ends here.
fn dialect(choices: &mut Choices, protocol: Protocol, pipelining: Pipelining) -> Dialect {
    let mut textbook = Dialect {
        protocol,
        ..Dialect::default()
    };
    textbook.keywords.eight_bit_mime = !choices.once_in(4);
    if choices.once_in(2) {
        return textbook;
    }
    for _ in 0..100 {
        let dialect = Dialect {
            protocol,
            ..Dialect::from_numbers(&mut || choices.number())
        };
        let answers = answers_everything(&dialect, Pipelining::Careful);
        if answers && is_safe(&dialect, pipelining) {
            return dialect;
        }
    }
    textbook
}

#[expect(clippy::unwrap_used, reason = "the configuration is valid")]
fn config(
    choices: &mut Choices,
    protocol: Protocol,
    pipelining: Pipelining,
    max_connections: usize,
) -> TransportConfig {
    let (idle, queued) = (choices.below(1 + max_connections), 1 + choices.below(6));
    let messages = choices.pick(&[1, 2, 3, 1_000, 1_000]);
    let time = choices.pick(&[Duration::from_millis(10), Duration::MAX, Duration::MAX]);
    let chunking = !choices.once_in(4);
    TransportBuilder::<TransportConfig>::builder_dangerous("mail.example")
        .protocol(scene::protocol(protocol))
        .timeout(None)
        .client(|client| client.pipelining(pipelining).chunking(chunking))
        .pool(|pool| {
            pool.max_connections(max_connections)
                .max_idle(idle)
                .max_queued(queued)
                .max_messages(messages)
                .idle_timeout(time)
                .max_lifetime(time)
                .shutdown_timeout(Duration::MAX)
                .acquire_timeout(None)
                // Only the time ends a pause.
                .first_pause(Duration::ZERO)
                .longest_pause(Duration::ZERO)
        })
        .build()
        .map(TransportConfig::by_connector)
        .unwrap()
}
