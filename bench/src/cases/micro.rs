//! The inner loops alone: replies, capabilities, bodies; compared with the peers' public
//! parsers and with passes over memory, which are the lower bound.

use std::hint::black_box;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant as Now};

use bytes::{Buf, Bytes};
use mail_send::SmtpClient;
use memchr::{memchr, memchr_iter};
use postwire_proto::{
    Body, Capabilities, Client, ClientConfig, Endpoint, Envelope, HelloName, Instant, ReplyLimits,
    ReplyReader, Security,
};
use smtp_proto::EhloResponse;
use smtp_proto::response::parser::ResponseReceiver;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Failure;
use crate::job::{self, SENDER};
use crate::lab::Lab;
use crate::report::{Row, Section};
use crate::rounds::interleaved;

const ONE_LINE: &str = "250 2.1.5 <bob@example.net> recipient ok\r\n";
const OFFER: &str = "250-mx.example.net greets you\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n\
    250-STARTTLS\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
    250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n";

pub(crate) const POSTWIRE: &str = "postwire";
pub(crate) const MEMCHR: &str = "memchr for an octet that isn't there";

/// An operation that is repeated; it returns whether its result is right.
struct Entrant {
    who: &'static str,
    work: Box<dyn FnMut() -> bool>,
}

fn entrant(who: &'static str, work: impl FnMut() -> bool + 'static) -> Entrant {
    let work = Box::new(work);
    Entrant { who, work }
}

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "micro",
        "Parsers and bodies in memory",
        "ns",
        "For a reply, or for each KiB of a body of 16 MiB. memchr and memcpy pass over the same \
         octets and are the floor. Allocations are counted meanwhile, which costs each of them \
         a few ns.",
    );
    let times = lab.size(20_000, 1_000);
    let rounds = lab.size(11, 3);
    let mut group = |group: &str, per_try: f64, times: usize, mut entrants: Vec<Entrant>| {
        let mut rows: Vec<Row> = Vec::new();
        for entrant in &entrants {
            rows.push(Row::new(group, entrant.who));
        }
        interleaved(rounds, &mut entrants, |_, entrant| {
            let begun = Now::now();
            let mut well = true;
            for _ in 0..times {
                well &= (entrant.work)();
            }
            let nanos = begun.elapsed().as_secs_f64() * 1e9;
            for row in rows.iter_mut().filter(|row| row.who == entrant.who) {
                row.samples.push(nanos / times as f64 / per_try);
                if !well {
                    row.failure = Some("the result is wrong".to_owned());
                }
            }
        });
        section.rows.extend(rows);
    };
    group("a reply of one line", 1.0, times, replies(ONE_LINE));
    group("a reply of ten lines", 1.0, times, replies(OFFER));
    group("an EHLO reply to capabilities", 1.0, times, capabilities());
    let octets = lab.size(16, 1) * 1024 * 1024;
    let kib = octets as f64 / 1024.0;
    for (name, body) in [
        ("lines of 78", job::text(octets)),
        ("every line a dot", Bytes::from(b".\r\n".repeat(octets / 3))),
    ] {
        group(&format!("facts of a body, {name}"), kib, 1, scans(&body));
        let stuffing = stuffing(&body)?;
        group(&format!("scan and dot-stuffing, {name}"), kib, 1, stuffing);
    }
    Ok(section)
}

fn replies(text: &'static str) -> Vec<Entrant> {
    let mut borrowing = ReplyReader::new(ReplyLimits::default());
    let mut owning = ReplyReader::new(ReplyLimits::default());
    vec![
        entrant(POSTWIRE, move || {
            let reply = borrowing.read(&mut black_box(text.as_bytes()));
            matches!(reply, Ok(Some(reply)) if black_box(reply).code().is_positive())
        }),
        entrant("postwire, made owned", move || {
            let reply = owning.read(&mut black_box(text.as_bytes()));
            matches!(reply, Ok(Some(reply)) if black_box(reply.to_owned()).code().is_positive())
        }),
        entrant("smtp-proto (mail-send)", move || {
            let reply = ResponseReceiver::default().parse(&mut black_box(text.as_bytes()).iter());
            black_box(reply).is_ok_and(|reply| reply.code() == 250)
        }),
        entrant("lettre", move || {
            let reply = black_box(text).parse::<lettre::transport::smtp::response::Response>();
            black_box(reply).is_ok_and(|reply| reply.is_positive())
        }),
        entrant("async-smtp", move || {
            let reply = black_box(text).parse::<async_smtp::response::Response>();
            black_box(reply).is_ok_and(|reply| reply.is_positive())
        }),
        entrant("memchr for each line end", move || {
            black_box(memchr_iter(b'\n', black_box(text.as_bytes())).count()) > 0
        }),
    ]
}

fn capabilities() -> Vec<Entrant> {
    use lettre::transport::smtp::extension as of_lettre;
    let mut reader = ReplyReader::new(ReplyLimits::default());
    vec![
        entrant(POSTWIRE, move || {
            let Ok(Some(reply)) = reader.read(&mut black_box(OFFER.as_bytes())) else {
                return false;
            };
            let capabilities = black_box(Capabilities::parse(reply, 128));
            capabilities.is_ok_and(|capabilities| capabilities.chunking())
        }),
        entrant("smtp-proto (mail-send)", || {
            let offer = EhloResponse::parse(&mut black_box(OFFER.as_bytes()).iter());
            black_box(offer).is_ok_and(|offer| offer.has_capability(smtp_proto::EXT_CHUNKING))
        }),
        entrant("lettre", || {
            let Ok(reply) = black_box(OFFER).parse() else {
                return false;
            };
            let info = black_box(of_lettre::ServerInfo::from_response(&reply));
            info.is_ok_and(|info| info.supports_feature(of_lettre::Extension::EightBitMime))
        }),
        entrant("async-smtp", || {
            use async_smtp::extension::{Extension, ServerInfo};
            let Ok(reply) = black_box(OFFER).parse() else {
                return false;
            };
            let info = black_box(ServerInfo::from_response(&reply));
            info.is_ok_and(|info| info.supports_feature(Extension::EightBitMime))
        }),
    ]
}

/// The passes that are the lower bound of every scan.
fn floors(body: &Bytes) -> Vec<Entrant> {
    let (absent, lines, copied) = (body.clone(), body.clone(), body.clone());
    let mut room = vec![0; body.len()];
    vec![
        entrant(MEMCHR, move || {
            black_box(memchr(0, black_box(&absent))).is_none()
        }),
        entrant("memchr for each line end", move || {
            black_box(memchr_iter(b'\n', black_box(&lines)).count()) > 0
        }),
        entrant("memcpy", move || {
            room.copy_from_slice(black_box(&copied));
            black_box(&room).len() == copied.len()
        }),
    ]
}

fn scans(body: &Bytes) -> Vec<Entrant> {
    let scanned = body.clone();
    let mut all = vec![entrant(POSTWIRE, move || {
        let body = black_box(Body::from(black_box(scanned.clone())));
        body.facts().octets > 0
    })];
    all.extend(floors(body));
    all
}

fn stuffing(body: &Bytes) -> Result<Vec<Entrant>, Failure> {
    let (sliced, copied, written) = (body.clone(), body.clone(), body.clone());
    let envelope = Envelope::new(Some(SENDER.parse()?), vec!["bob@example.net".parse()?])?;
    let other = envelope.clone();
    let mut room = Vec::with_capacity(body.len() * 2);
    let mut memory = SmtpClient {
        stream: Memory(Vec::with_capacity(body.len() * 2)),
        timeout: Duration::from_secs(60),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut all = vec![
        entrant(POSTWIRE, move || {
            let mut client = with_data(&envelope, &sliced);
            let mut octets = 0;
            loop {
                let mut output = client.output();
                let mut slices = [IoSlice::new(&[]); 64];
                let filled = output.chunks_vectored(&mut slices);
                let here = slices[..filled].iter().map(|slice| slice.len()).sum();
                if here == 0 {
                    return octets >= sliced.len();
                }
                octets += here;
                output.advance(here);
            }
        }),
        entrant("postwire, copied into memory", move || {
            room.clear();
            let mut client = with_data(&other, &copied);
            loop {
                let mut output = client.output();
                if !output.has_remaining() {
                    return room.len() >= copied.len();
                }
                let chunk = output.chunk();
                room.extend_from_slice(chunk);
                let octets = chunk.len();
                output.advance(octets);
            }
        }),
        entrant("mail-send, copied into memory", move || {
            memory.stream.0.clear();
            let sent = runtime.block_on(memory.write_message(&written));
            sent.is_ok() && memory.stream.0.len() >= written.len()
        }),
    ];
    all.extend(floors(body));
    Ok(all)
}

/// A session with this body after the 354 of the server.
fn with_data(envelope: &Envelope, body: &Bytes) -> Client {
    let config = ClientConfig::new(HelloName::localhost(), Security::None).chunking(false);
    let mut client = Client::new(Arc::new(config));
    client.enqueue(envelope.clone(), Body::from(body.clone()));
    let replies = [
        "220 mx\r\n",
        "250-mx\r\n250 PIPELINING\r\n",
        "250 ok\r\n250 ok\r\n354 go\r\n",
    ];
    for reply in replies {
        client.handle_input(Instant::EPOCH, reply.as_bytes());
        if !reply.contains("354") {
            let mut output = client.output();
            output.advance(output.remaining());
        }
    }
    client
}

/// A stream that stores everything that is written.
struct Memory(Vec<u8>);

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
