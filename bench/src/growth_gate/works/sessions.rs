//! Works of a client session: messages, recipients, commands, events.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr_iter;
use postwire_proto::{
    Body, Client, ClientConfig, Command, Credentials, Endpoint, Envelope, Event, Instant, Limits,
    Notify, Parameter, Pipelining, Protocol, Recipients, ReplyLimits, StreamFacts,
};

use super::{Prepared, Work, prepared, work};
use crate::Failure;
use crate::in_memory::{Accepts, Peer, accepted, config, converse, drain, offer, session};
use crate::job::{SENDER, text};

const PIPELINED: &[&str] = &["PIPELINING"];
const CHUNKED: &[&str] = &["PIPELINING", "CHUNKING"];

pub(super) const WORKS: &[Work] = &[
    work("messages, DATA", 1_000, |n| {
        messages(n, config(), PIPELINED)
    }),
    work("messages, DATA, one command at a time", 1_000, |n| {
        messages(n, config(), &[])
    }),
    work("messages, BDAT", 1_000, |n| messages(n, config(), CHUNKED)),
    work("messages, DATA, bold", 1_000, |n| {
        messages(n, config().pipelining(Pipelining::Bold), PIPELINED)
    }),
    work("messages, BDAT, bold", 1_000, |n| {
        messages(n, config().pipelining(Pipelining::Bold), CHUNKED)
    }),
    work("messages to 3 recipients, LMTP", 600, |n| {
        let peer = Peer::new(Protocol::Lmtp, Accepts::All);
        let config = config().protocol(Protocol::Lmtp);
        deliver(session(config, PIPELINED), peer, vec![envelope(3)?; n], n)
    }),
    work("messages, every one refused", 1_000, |n| {
        let peer = Peer::new(Protocol::Smtp, Accepts::Nobody);
        deliver(session(config(), PIPELINED), peer, vec![envelope(1)?; n], n)
    }),
    work("messages after the end of a session", 2_000, after_the_end),
    work("messages of a session that is aborted", 2_000, |n| {
        ended(n, Client::abort)
    }),
    work("messages of a session that the server closes", 2_000, |n| {
        ended(n, |client| client.handle_eof(Instant::EPOCH))
    }),
    work("messages that wait, as many ticks", 2_000, |n| {
        let client = session(config(), PIPELINED);
        ticks(n, client, envelope(1)?)
    }),
    work("messages under way, as many ticks, bold", 1_000, |n| {
        ticks(n, session(unlimited(), CHUNKED), envelope(1)?)
    }),
    work("messages, events not polled, BDAT", 1_000, |n| {
        let mut client = session(config(), CHUNKED);
        let (envelope, body) = (envelope(1)?, content());
        prepared(move || {
            for _ in 0..n {
                client.enqueue(envelope.clone(), body.clone());
            }
            let mut peer = Peer::default();
            loop {
                drain(&mut client, |chunk| peer.hear(chunk));
                if peer.said().is_empty() {
                    return Ok(events(&mut client, is_report));
                }
                client.handle_input(Instant::EPOCH, peer.said());
                peer.clear();
            }
        })
    }),
    work(
        "messages before QUIT, a reply at a time, bold",
        1_000,
        |n| reply_by_reply(n, Client::quit),
    ),
    work(
        "messages before a command, a reply at a time, bold",
        1_000,
        |n| {
            reply_by_reply(n, |client| {
                client.command(Command::noop());
            })
        },
    ),
    work(
        "messages under way as the server closes, bold",
        1_000,
        under_way,
    ),
    work(
        "messages to one domain each, of at most N",
        1_000,
        domain_each,
    ),
    work("recipients, accepted, DATA", 2_000, |n| {
        recipients(n, config(), PIPELINED, Accepts::All)
    }),
    work("recipients, accepted, BDAT", 2_000, |n| {
        recipients(n, config(), CHUNKED, Accepts::All)
    }),
    work("recipients, accepted, one command at a time", 2_000, |n| {
        recipients(n, config(), &[], Accepts::All)
    }),
    work("recipients, accepted, LMTP", 2_000, |n| {
        let peer = Peer::new(Protocol::Lmtp, Accepts::All);
        let config = config().protocol(Protocol::Lmtp);
        deliver(session(config, PIPELINED), peer, vec![envelope(n)?], n)
    }),
    work("recipients, LMTP, closed before their replies", 400, |n| {
        let config = config().protocol(Protocol::Lmtp);
        let mut client = session(config, PIPELINED);
        let (envelope, body) = (envelope(n)?, content());
        prepared(move || {
            client.enqueue(envelope, body);
            let mut peer = Peer::new(Protocol::Lmtp, Accepts::All);
            let mut flights = 0;
            while flights < 2 {
                drain(&mut client, |chunk| peer.hear(chunk));
                client.handle_input(Instant::EPOCH, peer.said());
                peer.clear();
                flights += 1;
            }
            client.handle_eof(Instant::EPOCH);
            let mut recipients = 0;
            while let Some(event) = client.poll_event() {
                if let Event::Report(report) = event {
                    recipients += report.recipients().len();
                }
            }
            Ok(recipients)
        })
    }),
    work("recipients, all refused", 2_000, |n| {
        recipients(n, config(), PIPELINED, Accepts::Nobody)
    }),
    work("recipients, every second refused", 2_000, |n| {
        recipients(n, config(), PIPELINED, Accepts::EverySecond)
    }),
    work("recipients, all or none, the first refused", 400, |n| {
        let peer = Peer::new(Protocol::Smtp, Accepts::AllButTheFirst);
        let envelope = envelope(n)?.with_recipients(Recipients::All);
        deliver(session(config(), PIPELINED), peer, vec![envelope], n)
    }),
    work("recipients, all or none, one refused, trace", 400, |n| {
        let peer = Peer::new(Protocol::Smtp, Accepts::AllButTheFirst);
        let envelope = envelope(n)?.with_recipients(Recipients::All);
        let client = session(config().trace(true), PIPELINED);
        deliver(client, peer, vec![envelope], n)
    }),
    work("recipients, 20 accepted at a time (452)", 2_000, |n| {
        recipients(n, config(), PIPELINED, Accepts::AtATime(20))
    }),
    work("recipients, 20 at a time (RCPTMAX)", 2_000, |n| {
        let extensions = &["PIPELINING", "LIMITS RCPTMAX=20"];
        recipients(n, config(), extensions, Accepts::All)
    }),
    work("recipients, one accepted at a time (452)", 1_000, |n| {
        recipients(n, config(), PIPELINED, Accepts::AtATime(1))
    }),
    work("recipients, one at a time (RCPTMAX)", 1_000, |n| {
        let extensions = &["PIPELINING", "LIMITS RCPTMAX=1"];
        recipients(n, config(), extensions, Accepts::All)
    }),
    work(
        "recipients of international domains, as A-labels",
        1_000,
        |n| {
            let all = (0..n).map(|n| Ok(format!("bob@b\u{fc}cher{n}.example").parse()?));
            let envelope = Envelope::new(None, all.collect::<Result<_, Failure>>()?)?;
            let client = session(config(), PIPELINED);
            deliver(client, Peer::default(), vec![envelope], n)
        },
    ),
    work("domains of one message, all allowed", 2_000, |n| {
        domains(n, n)
    }),
    work("domains of one message, half of them allowed", 2_000, |n| {
        domains(n, n.div_ceil(2))
    }),
    work("recipients with a parameter each", 2_000, parameter_each),
    work("parameters of one message, at most 20", 10, mail_parameters),
    work(
        "parameters of one recipient, at most 20",
        10,
        rcpt_parameters,
    ),
    work("recipients taken from an envelope", 4_000, |n| {
        let whole = envelope(n)?;
        prepared(move || {
            let all: Vec<usize> = (0..n).collect();
            Ok(whole.with_recipients_at(&all).forward_paths().len())
        })
    }),
    work("commands", 2_000, |n| commands(n, config(), Polled::Always)),
    work("commands, events not polled", 2_000, |n| {
        commands(n, config(), Polled::AtTheEnd)
    }),
    work("commands, trace", 2_000, |n| {
        commands(n, config().trace(true), Polled::Always)
    }),
    work("commands, trace not polled", 2_000, |n| {
        commands(n, config().trace(true), Polled::AtTheEnd)
    }),
    work("commands, trace with a secret", 500, |n| {
        let config = config().trace(true).allow_plaintext_auth(true);
        let config = config.credentials(Credentials::new("alice", "perhaps"));
        commands(n, config, Polled::Always)
    }),
    work("commands, each line of the trace kept", 2_000, |n| {
        let limits = Limits::default().trace_lines(usize::MAX);
        commands(n, config().trace(true).limits(limits), Polled::AtTheEnd)
    }),
    work("messages, replies one octet at a time", 500, octet_by_octet),
    work("commands of a session that is aborted", 2_000, |n| {
        let mut client = session(config(), PIPELINED);
        let command = Command::vrfy("alice")?;
        prepared(move || {
            for _ in 0..n {
                client.command(command.clone());
            }
            client.abort();
            Ok(events(&mut client, |event| {
                matches!(event, Event::Reply(..))
            }))
        })
    }),
    work("capabilities", 2_000, capabilities),
    work("mechanisms, of which 64 are kept", 2_000, mechanisms),
    work("lines of one reply to a command", 4_000, reply_lines),
    work("messages whose content is given ahead", 1_000, given_ahead),
    work(
        "output taken one octet at a time, octets",
        8_000,
        small_writes,
    ),
];

fn envelope(recipients: usize) -> Result<Envelope, Failure> {
    let all: Result<Vec<_>, _> = (0..recipients)
        .map(|n| format!("bob{n}@example.net").parse())
        .collect();
    Ok(Envelope::new(Some(SENDER.parse()?), all?)?)
}

fn content() -> Body {
    Body::from(text(200))
}

/// Sends a message for each envelope, and counts the recipients in their reports, or the reports if
/// there are `items` of them.
fn deliver(
    mut client: Client,
    mut peer: Peer,
    envelopes: Vec<Envelope>,
    items: usize,
) -> Result<Prepared, Failure> {
    let body = content();
    prepared(move || {
        let messages = envelopes.len();
        for envelope in envelopes {
            client.enqueue(envelope, body.clone());
        }
        let (mut reports, mut recipients) = (0, 0);
        converse(&mut client, &mut peer, |event| {
            if let Event::Report(report) = event {
                reports += 1;
                recipients += report.recipients().len();
            }
            Ok(())
        })?;
        if reports != messages {
            return Err(format!("{reports} reports on {messages} messages").into());
        }
        Ok(if reports == items {
            reports
        } else {
            recipients
        })
    })
}

fn messages(count: usize, config: ClientConfig, extensions: &[&str]) -> Result<Prepared, Failure> {
    let client = session(config, extensions);
    let envelopes = vec![envelope(1)?; count];
    deliver(client, Peer::default(), envelopes, count)
}

fn recipients(
    count: usize,
    config: ClientConfig,
    extensions: &[&str],
    accepts: Accepts,
) -> Result<Prepared, Failure> {
    let client = session(config, extensions);
    let peer = Peer::new(Protocol::Smtp, accepts);
    deliver(client, peer, vec![envelope(count)?], count)
}

/// Counts the events of a kind.
fn events(client: &mut Client, is_counted: fn(&Event) -> bool) -> usize {
    let mut count = 0;
    while let Some(event) = client.poll_event() {
        count += usize::from(is_counted(&event));
    }
    count
}

fn is_report(event: &Event) -> bool {
    matches!(event, Event::Report(_))
}

fn after_the_end(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(config(), PIPELINED);
    client.abort();
    let (envelope, body) = (envelope(1)?, content());
    prepared(move || {
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
        }
        Ok(events(&mut client, is_report))
    })
}

fn ended(count: usize, end: fn(&mut Client)) -> Result<Prepared, Failure> {
    let mut client = session(config(), PIPELINED);
    let (envelope, body) = (envelope(1)?, content());
    prepared(move || {
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
        }
        drain(&mut client, |_| {});
        end(&mut client);
        Ok(events(&mut client, is_report))
    })
}

/// The configuration of a client that waits for no reply.
fn unlimited() -> ClientConfig {
    let limits = Limits::default()
        .outstanding_replies(usize::MAX)
        .speculation(u64::MAX);
    config().pipelining(Pipelining::Bold).limits(limits)
}

/// Messages that are written or wait, while time passes and the driver looks for output.
fn ticks(count: usize, mut client: Client, envelope: Envelope) -> Result<Prepared, Failure> {
    while client.poll_event().is_some() {}
    let body = content();
    prepared(move || {
        let mut ticks = 0;
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
            drain(&mut client, |_| {});
        }
        for _ in 0..count {
            client.handle_timeout(Instant::EPOCH);
            drain(&mut client, |_| {});
            let waits = client.poll_event().is_none() && client.poll_timeout().is_some();
            ticks += usize::from(waits);
        }
        Ok(ticks)
    })
}

/// Messages under way, and something behind them that waits. Each reply comes alone.
fn reply_by_reply(count: usize, behind: fn(&mut Client)) -> Result<Prepared, Failure> {
    let mut client = session(unlimited(), CHUNKED);
    let (envelope, body) = (envelope(1)?, content());
    prepared(move || {
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
        }
        behind(&mut client);
        let (mut peer, mut reports) = (Peer::default(), 0);
        drain(&mut client, |chunk| peer.hear(chunk));
        let replies = peer.said().to_vec();
        for reply in replies.split_inclusive(|octet| *octet == b'\n') {
            client.handle_input(Instant::EPOCH, reply);
            drain(&mut client, |_| {});
            reports += events(&mut client, is_report);
        }
        Ok(reports)
    })
}

/// Messages that are written and unanswered.
fn under_way(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(unlimited(), CHUNKED);
    let (envelope, body) = (envelope(1)?, content());
    prepared(move || {
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
        }
        drain(&mut client, |_| {});
        client.handle_eof(Instant::EPOCH);
        Ok(events(&mut client, is_report))
    })
}

fn domain(number: usize) -> String {
    // Not in order, and in the order of their ends.
    format!(
        "bob@{}.d{number}.example",
        number.wrapping_mul(2_654_435_761) % 10_007
    )
}

fn domain_each(count: usize) -> Result<Prepared, Failure> {
    let limits = format!("LIMITS RCPTDOMAINMAX={count}");
    let client = session(config(), &["PIPELINING", &limits]);
    let envelopes: Result<Vec<Envelope>, Failure> = (0..count)
        .map(|number| Ok(Envelope::new(None, vec![domain(number).parse()?])?))
        .collect();
    deliver(client, Peer::default(), envelopes?, count)
}

fn domains(count: usize, allowed: usize) -> Result<Prepared, Failure> {
    let limits = format!("LIMITS RCPTDOMAINMAX={allowed}");
    let client = session(config(), &["PIPELINING", &limits]);
    let all: Result<Vec<_>, _> = (0..count).map(|number| domain(number).parse()).collect();
    let envelope = Envelope::new(None, all?)?;
    deliver(client, Peer::default(), vec![envelope], count)
}

fn parameter_each(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(config(), &["PIPELINING", "DSN"]);
    let (envelope, body) = (envelope(count)?, content());
    prepared(move || {
        let mut envelope = envelope;
        for recipient in 0..count {
            envelope = envelope.with_recipient_parameter(recipient, Notify::FAILURE)?;
        }
        client.enqueue(envelope, body);
        let mut recipients = 0;
        converse(&mut client, &mut Peer::default(), |event| {
            if let Event::Report(report) = event {
                recipients += report.into_result()?.recipients().len();
            }
            Ok(())
        })?;
        Ok(recipients)
    })
}

fn parameters(count: usize) -> Result<Vec<Parameter>, Failure> {
    let all = (0..count).map(|number| format!("X{number}=1").parse::<Parameter>());
    let all = all.map(|parameter| Ok(parameter?.with_extension("X-END")?));
    all.collect()
}

fn mail_parameters(count: usize) -> Result<Prepared, Failure> {
    let (parameters, envelope) = (parameters(count)?, envelope(1)?);
    let client = session(config(), PIPELINED);
    written(client, count, move || {
        let add = |envelope: Envelope, parameter| envelope.with_parameter(parameter);
        Ok(parameters.into_iter().fold(envelope, add))
    })
}

fn rcpt_parameters(count: usize) -> Result<Prepared, Failure> {
    let (parameters, envelope) = (parameters(count)?, envelope(1)?);
    let client = session(config(), PIPELINED);
    written(client, count, move || {
        let (mut envelope, mut number) = (envelope, 0);
        for parameter in parameters {
            // Half of them for all recipients.
            envelope = if number % 2 == 0 {
                envelope.with_parameter_for_all(parameter)
            } else {
                envelope.with_recipient_parameter(0, parameter)?
            };
            number += 1;
        }
        Ok(envelope)
    })
}

/// Counts the parameters that are written.
fn written(
    mut client: Client,
    count: usize,
    make: impl FnOnce() -> Result<Envelope, Failure> + 'static,
) -> Result<Prepared, Failure> {
    let body = content();
    prepared(move || {
        client.enqueue(make()?, body);
        let mut found = 0;
        drain(&mut client, |chunk| {
            found += memchr_iter(b'=', chunk).count();
        });
        Ok(found.min(count))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Polled {
    Always,
    AtTheEnd,
}

fn commands(count: usize, config: ClientConfig, polled: Polled) -> Result<Prepared, Failure> {
    let mut client = if config.logs_in() {
        // The server offers no login, and none is needed.
        let mut client = session(config, &["PIPELINING", "AUTH PLAIN"]);
        drain(&mut client, |_| {});
        client.handle_input(Instant::EPOCH, b"235 welcome\r\n");
        client
    } else {
        session(config, PIPELINED)
    };
    let command = Command::vrfy("alice")?;
    prepared(move || {
        for _ in 0..count {
            client.command(command.clone());
        }
        let mut peer = Peer::default();
        let mut replies = 0;
        loop {
            drain(&mut client, |chunk| peer.hear(chunk));
            if polled == Polled::Always {
                replies += events(&mut client, |event| matches!(event, Event::Reply(_, Ok(_))));
            }
            if peer.said().is_empty() {
                break;
            }
            client.handle_input(Instant::EPOCH, peer.said());
            peer.clear();
        }
        Ok(replies + events(&mut client, |event| matches!(event, Event::Reply(_, Ok(_)))))
    })
}

/// The replies to messages, one octet at a time.
fn octet_by_octet(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(config(), CHUNKED);
    let (envelope, body) = (envelope(1)?, content());
    prepared(move || {
        for _ in 0..count {
            client.enqueue(envelope.clone(), body.clone());
        }
        let (mut peer, mut reports) = (Peer::default(), 0);
        loop {
            drain(&mut client, |chunk| peer.hear(chunk));
            if peer.said().is_empty() {
                return Ok(reports);
            }
            for octet in peer.said() {
                client.handle_input(Instant::EPOCH, &[*octet]);
            }
            reports += events(&mut client, is_report);
            peer.clear();
        }
    })
}

/// Limits that a large reply does not exceed.
fn large_replies(lines: usize) -> Limits {
    let reply = ReplyLimits::default().lines(lines + 2).bytes(usize::MAX);
    Limits::default().reply(reply).capabilities(lines + 2)
}

fn capabilities(count: usize) -> Result<Prepared, Failure> {
    let all: Vec<String> = (0..count).map(|number| format!("X-{number} a b")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let offer = offer(&all);
    let client = opening(config().limits(large_replies(count)));
    prepared(move || {
        let mut client = client;
        client.handle_input(Instant::EPOCH, offer.as_bytes());
        let found = client.capabilities().map(|offered| offered.iter().count());
        Ok(found.map_or(0, |found| found - 1))
    })
}

fn mechanisms(count: usize) -> Result<Prepared, Failure> {
    let mut auth = "AUTH".to_owned();
    for number in 0..count {
        write!(auth, " X{number}")?;
    }
    let offer = offer(&[&auth]);
    let mut limits = large_replies(1);
    limits.reply.line = usize::MAX;
    let client = opening(config().limits(limits));
    prepared(move || {
        let mut client = client;
        client.handle_input(Instant::EPOCH, offer.as_bytes());
        let offered = client.capabilities().ok_or("no capabilities")?;
        let kept = offered.auth().count();
        if kept != count.min(64) {
            return Err(format!("{kept} mechanisms are kept").into());
        }
        let auth = offered.get("AUTH").ok_or("no mechanisms")?;
        Ok(auth.parameters().count())
    })
}

/// A session that waits for the reply to `EHLO`.
fn opening(config: ClientConfig) -> Client {
    let mut client = Client::new(Arc::new(config));
    client.handle_input(Instant::EPOCH, b"220 mx ESMTP\r\n");
    drain(&mut client, |_| {});
    client
}

fn reply_lines(count: usize) -> Result<Prepared, Failure> {
    let limits = large_replies(count);
    let mut client = session(config().limits(limits).trace(true), PIPELINED);
    let mut reply = b"250-what a server says\r\n".repeat(count - 1);
    reply.extend_from_slice(b"250 the end\r\n");
    let command = Command::noop();
    prepared(move || {
        client.command(command);
        drain(&mut client, |_| {});
        client.handle_input(Instant::EPOCH, &reply);
        let mut lines = 0;
        while let Some(event) = client.poll_event() {
            if let Event::Reply(_, reply) = event {
                lines += reply?.text_lines().count();
            }
        }
        Ok(lines)
    })
}

/// Streamed messages, with all their content given before the first one begins.
fn given_ahead(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(config(), PIPELINED);
    let envelope = envelope(1)?;
    let chunk = Bytes::from_static(b"Subject: short\r\n\r\n");
    prepared(move || {
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(client.enqueue(envelope.clone(), StreamFacts::default()));
        }
        for id in messages {
            client.body_chunk(id, chunk.clone())?;
            client.body_end(id)?;
        }
        accepted(&mut client)
    })
}

/// Commands that are taken octet by octet: `MAIL` and `RCPT` of one message.
fn small_writes(count: usize) -> Result<Prepared, Failure> {
    let mut client = session(config(), PIPELINED);
    let (envelope, body) = (envelope(count.div_ceil(20))?, content());
    prepared(move || {
        client.enqueue(envelope, body);
        let mut taken = 0;
        while taken < count && !client.output_chunk().is_empty() {
            client.advance_output(1);
            taken += 1;
        }
        Ok(taken)
    })
}
