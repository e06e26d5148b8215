//! One connection of the server: drives the session and answers its questions.
//!
//! Knows users, rules and where messages go. Must never know how the connection began.

use std::io::Read;
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use postwire_blocking::{Driver, Socket, Stream};
use postwire_server::{Received, ServerEvent};
use postwire_tls::ServerConnection;
use postwire_tls::proto::{Credentials, EnhancedCode, Protocol, Reply, ReplyCode};

use crate::rules::{Answer, Occasion};
use crate::server::Shared;

/// How long the server reads on after its last octet, so that the client sees the end of the
/// connection and not a reset.
const FAREWELL: Duration = Duration::from_secs(2);

/// The session goes on, or the server hangs up.
type Flow = ControlFlow<()>;

/// Serves a client until the connection ends.
pub(crate) fn serve(socket: Socket, shared: &Shared) {
    let connection = ServerConnection::new(&shared.config, &shared.tls);
    let mut session = Session {
        driver: Driver::new(connection, socket),
        shared,
    };
    while let Some(event) = session.driver.next_event() {
        if session.on_event(event).is_break() {
            break;
        }
    }
    if let Ok(socket) = session.driver.stream().try_clone() {
        say_farewell(socket);
    }
}

struct Session<'a> {
    driver: Driver<ServerConnection, Socket>,
    shared: &'a Shared,
}

impl Session<'_> {
    fn on_event(&mut self, event: ServerEvent) -> Flow {
        match event {
            ServerEvent::Greeting => self.answer(Occasion::Greeting),
            ServerEvent::Hello { .. } => self.answer(Occasion::Hello),
            ServerEvent::Authenticate { user, secret, .. } => {
                let known = self.shared.user(&user);
                let proved = known.is_some_and(|known| *known.secret() == secret);
                match self.decide(Occasion::Auth)? {
                    Some(reply) => self.respond(reply),
                    None if proved => self.accept(),
                    None => self.respond(wrong_login()),
                }
            }
            ServerEvent::PasswordWanted { user, .. } => {
                let ruled = self.decide(Occasion::Auth)?;
                match (ruled, self.shared.user(&user)) {
                    (Some(reply), _) if reply.code().is_negative() => self.respond(reply),
                    (_, Some(known)) => {
                        let answered = self.driver.machine_mut().password(known.secret());
                        continue_if(answered.is_ok())
                    }
                    (_, None) => self.respond(wrong_login()),
                }
            }
            ServerEvent::MailFrom { .. } => self.answer(Occasion::Mail),
            ServerEvent::RcptTo { forward_path, .. } => self.answer(Occasion::Rcpt(&forward_path)),
            ServerEvent::Data => self.accept(),
            ServerEvent::Message(received) => match self.shared.protocol {
                Protocol::Smtp => self.take(received),
                Protocol::Lmtp => self.take_for_each(received),
            },
            _ => Flow::Continue(()),
        }
    }

    /// Stores the message before it is answered, so that a client with an answer finds it stored.
    fn take(&mut self, received: Received) -> Flow {
        let ruled = self.decide(Occasion::Content)?;
        if !is_refusal(ruled.as_ref()) {
            self.shared.mailbox.add(received);
        }
        self.give(ruled)
    }

    /// RFC 2033 §4.2: one reply for each recipient.
    fn take_for_each(&mut self, mut received: Received) -> Flow {
        let for_all = self.decide(Occasion::Content)?;
        let recipients = std::mem::take(&mut received.recipients);
        let mut parameters = std::mem::take(&mut received.parameters.recipients).into_iter();
        let mut replies = Vec::new();
        let mut hangs_up = false;
        for recipient in recipients {
            let parameters = parameters.next().unwrap_or_default();
            let ControlFlow::Continue(own) = self.decide(Occasion::Delivery(&recipient)) else {
                hangs_up = true;
                break;
            };
            let reply = own.or_else(|| for_all.clone());
            if !is_refusal(reply.as_ref()) {
                received.recipients.push(recipient);
                received.parameters.recipients.push(parameters);
            }
            replies.push(reply);
        }
        if !received.recipients.is_empty() {
            self.shared.mailbox.add(received);
        }
        for reply in replies {
            self.give(reply)?;
        }
        if hangs_up {
            self.driver.write_out();
            return Flow::Break(());
        }
        Flow::Continue(())
    }

    fn answer(&mut self, occasion: Occasion<'_>) -> Flow {
        let ruled = self.decide(occasion)?;
        self.give(ruled)
    }

    /// The reply of the rules, if there is one, after their delay.
    fn decide(&mut self, occasion: Occasion<'_>) -> ControlFlow<(), Option<Reply>> {
        let decision = self.shared.rules.decide(occasion);
        if !decision.delay.is_zero() {
            self.driver.write_out();
            if !self.shared.connections.sleep(decision.delay) {
                return ControlFlow::Break(());
            }
        }
        match decision.answer {
            None => ControlFlow::Continue(None),
            Some(Answer::Reply(reply)) => ControlFlow::Continue(Some(reply)),
            Some(Answer::HangUp) => {
                // The replies to earlier commands.
                self.driver.write_out();
                ControlFlow::Break(())
            }
        }
    }

    fn give(&mut self, reply: Option<Reply>) -> Flow {
        match reply {
            Some(reply) => self.respond(reply),
            None => self.accept(),
        }
    }

    fn respond(&mut self, reply: Reply) -> Flow {
        continue_if(self.driver.machine_mut().respond(reply).is_ok())
    }

    fn accept(&mut self) -> Flow {
        continue_if(self.driver.machine_mut().accept().is_ok())
    }
}

/// The session ends instead of waiting forever if an answer does not fit its question.
fn continue_if(is_answered: bool) -> Flow {
    debug_assert!(is_answered, "an answer that does not fit its question");
    if is_answered {
        Flow::Continue(())
    } else {
        Flow::Break(())
    }
}

fn is_refusal(reply: Option<&Reply>) -> bool {
    reply.is_some_and(|reply| reply.code().is_negative())
}

fn wrong_login() -> Reply {
    const CODE: ReplyCode = match ReplyCode::new(535) {
        Some(code) => code,
        None => panic!("no reply code"),
    };
    let enhanced = EnhancedCode::new(5, 7, 8);
    Reply::new(CODE, enhanced, &["wrong user or password"])
}

/// Closes the writing side and reads until the client closes its own. A socket that is closed with
/// unread input resets the connection, and the client may lose the last replies.
fn say_farewell(mut socket: Socket) {
    const PIECE: Duration = Duration::from_millis(100);

    let ended = Instant::now() + FAREWELL;
    if socket.shutdown(Shutdown::Write).is_err() || socket.set_read_timeout(Some(PIECE)).is_err() {
        return;
    }
    let mut discarded = [0; 4096];
    while Instant::now() < ended {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        match socket.read(&mut discarded) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => {}
            Err(_) => return,
        }
    }
}

impl Shared {
    fn user(&self, user: &str) -> Option<&Credentials> {
        self.users.iter().find(|known| known.user() == user)
    }
}
