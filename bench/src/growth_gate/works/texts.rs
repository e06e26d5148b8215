//! Works that read or write text: replies, capabilities, addresses, secrets, reports, URLs.

use std::fmt::Write as _;

use postwire_proto::{
    Address, Capabilities, Credentials, Envelope, Error, ErrorKind, Outcome, RecipientReport,
    RecipientStatus, Redaction, Reply, ReplyLimits, ReplyReader, Report, Retry, Stage,
    TransactionId,
};
use postwire_transport::ServerUrl;

use super::{Prepared, Work, prepared, work};
use crate::Failure;

pub(super) const WORKS: &[Work] = &[
    work("lines of a reply, in one read", 4_000, |n| {
        reply_lines(n, usize::MAX)
    }),
    work("lines of a reply, one octet at a time", 1_000, |n| {
        reply_lines(n, 1)
    }),
    work("replies read, in one read", 4_000, |n| {
        replies(n, usize::MAX)
    }),
    work("replies read, one octet at a time", 1_000, |n| {
        replies(n, 1)
    }),
    work("octets of one line of a reply, one at a time", 8_000, |n| {
        let mut line = vec![b'x'; n];
        line.splice(..0, *b"250 ");
        line.extend_from_slice(b"\r\n");
        let mut reader = ReplyReader::new(large(1));
        prepared(move || {
            let mut found = 0;
            for octet in &line {
                if let Some(reply) = reader.read(&mut &[*octet][..])? {
                    found += reply.text_lines().map(<[u8]>::len).sum::<usize>();
                }
            }
            Ok(found)
        })
    }),
    work("lines of a reply without an end, refused", 10_000, |n| {
        let line = b"250-more\r\n";
        let mut reader = ReplyReader::new(ReplyLimits::default());
        prepared(move || {
            let mut refused = false;
            for _ in 0..n {
                refused |= reader.read(&mut &line[..]).is_err();
            }
            Ok(if refused || n <= 256 { n } else { 0 })
        })
    }),
    work("lines of a reply, shown", 2_000, |n| {
        let reply = reply_of(n)?;
        prepared(move || Ok(format!("{reply}").matches("line").count()))
    }),
    work("lines of a reply, for debugging", 2_000, |n| {
        let reply = reply_of(n)?;
        prepared(move || Ok(format!("{reply:?}").matches("line").count()))
    }),
    work("lines of a reply, made", 2_000, |n| {
        let lines = vec!["line"; n];
        let code = postwire_proto::ReplyCode::new(250).ok_or("no code")?;
        prepared(move || Ok(Reply::new(code, None, &lines).text_lines().count()))
    }),
    work("capabilities, read", 2_000, |n| {
        let mut reply = "250-mx\r\n".to_owned();
        for number in 0..n {
            let separator = if number + 1 == n { ' ' } else { '-' };
            write!(reply, "250{separator}X-{number} a b\r\n")?;
        }
        let mut reader = ReplyReader::new(large(n + 1));
        prepared(move || {
            let reply = reader.read(&mut reply.as_bytes())?;
            let capabilities = Capabilities::parse(reply.ok_or("no reply")?, n)?;
            Ok(capabilities.iter().count())
        })
    }),
    // An address has at most 254 octets.
    work("labels of a domain, at most 120", 55, |n| {
        let mut address = "a@a".to_owned();
        address.push_str(&".a".repeat(n - 1));
        prepared(move || Ok(address.parse::<Address>()?.domain().split('.').count()))
    }),
    work("octets of a quoted local part, at most 62", 31, |n| {
        let address = format!("\"{}\"@b.example", "x".repeat(n));
        prepared(move || Ok(address.parse::<Address>()?.user().len() - 2))
    }),
    work("labels of an international domain, at most 30", 15, |n| {
        let address = format!("a@{}de", "\u{fc}.".repeat(n));
        prepared(move || {
            let address = address.parse::<Address>()?;
            let ascii = address.with_a_labels().ok_or("no A-labels")?;
            Ok(ascii.domain().matches("xn--").count())
        })
    }),
    work("octets that are redacted, no secret", 40_000, |n| {
        redacted(n, "nothing to see, ")
    }),
    work("octets that are redacted, the secret", 20_000, |n| {
        redacted(n, SECRET)
    }),
    work(
        "octets that are redacted, base64 of the secret",
        20_000,
        |n| redacted(n, "Y29ycmVjdCBob3JzZQ"),
    ),
    work("octets that are redacted, base64 of another", 20_000, |n| {
        redacted(n, "Y29ycmVjdCBob3Jz")
    }),
    work(
        "octets that are redacted, part of the secret",
        20_000,
        |n| redacted(n, "correct hors"),
    ),
    work("octets that are redacted, percent", 20_000, |n| {
        redacted(n, "%63orrect%20horse")
    }),
    work("octets that are redacted, percent signs", 20_000, |n| {
        redacted(n, "%")
    }),
    work(
        "octets that are redacted, a secret of one letter",
        8_000,
        |n| {
            let redaction = Redaction::of(&Credentials::new("a", "x"));
            let text = "x".repeat(n);
            prepared(move || {
                Ok(if redaction.text(&text).contains('x') {
                    0
                } else {
                    n
                })
            })
        },
    ),
    work("octets of a secret of the same letter", 4_000, |n| {
        let credentials = Credentials::new("a", "x".repeat(n));
        let text = "x".repeat(4 * n + 1);
        prepared(move || {
            let clean = Redaction::of(&credentials).text(&text);
            Ok(if clean.contains("<redacted>") { n } else { 0 })
        })
    }),
    work("recipients of a report, retry", 2_000, |n| {
        of_report(n, |report, envelope| {
            let retry = report.retry();
            let again = retry.envelope(envelope).ok_or("no retry")?;
            match retry {
                Retry::Later(_) => Ok(again.forward_paths().len()),
                other => Err(format!("{other:?}").into()),
            }
        })
    }),
    work("recipients of a report, as a result", 20_000, |n| {
        of_report(n, |report, _| match report.clone().into_result() {
            Ok(_) => Err("it is a success".into()),
            Err(error) => {
                let shown = error.to_string();
                let recipients = error.report().recipients().len();
                Ok(if shown.is_empty() { 0 } else { recipients })
            }
        })
    }),
    work("recipients of a report, shown", 20_000, |n| {
        of_report(n, |report, _| {
            let shown = report.to_string();
            let refused = report.refused().count();
            Ok(if shown.is_empty() { 0 } else { refused })
        })
    }),
    work("recipients of a report, for debugging", 1_000, |n| {
        of_report(n, |report, _| {
            Ok(format!("{report:?}").matches("bob").count())
        })
    }),
    work(
        "recipients of a report, left for another session",
        10_000,
        |n| {
            let reply: Reply = "250 ok".parse()?;
            let all = addresses(n)?.into_iter();
            let all = all.map(|to| RecipientReport::new(to, RecipientStatus::NotSent, None));
            let outcome = Outcome::Accepted(reply);
            let report = Report::new(TransactionId::default(), outcome, all.collect());
            let envelope = Envelope::new(None, addresses(n)?)?;
            prepared(move || {
                let mut report = report;
                let left = report.left_for_another_session();
                let rest = envelope.with_recipients_at(&left);
                let further = Report::accepted(&rest, "250 ok".parse()?);
                report.merge(further, left.into_iter());
                Ok(report.into_result()?.recipients().len())
            })
        },
    ),
    work("recipients of a message that is not sent", 4_000, |n| {
        let envelope = Envelope::new(None, addresses(n)?)?;
        prepared(move || {
            let error = Error::new(Stage::Connect, ErrorKind::ConnectionClosed);
            let retry = Report::not_sent(&envelope, error).retry();
            Ok(retry.recipients().len())
        })
    }),
    work("octets of a URL, its user", 20_000, |n| {
        let url = format!("smtp://{}:b@mail.example", "%61".repeat(n));
        prepared(move || Ok(url.parse::<ServerUrl>()?.user().map_or(0, str::len)))
    }),
    work("octets of a URL, its path", 20_000, |n| {
        let url = format!("smtp+unix:///{}", "a".repeat(n));
        prepared(move || {
            let url = url.parse::<ServerUrl>()?;
            let path = url.unix_socket().ok_or("no path")?;
            Ok(path.as_os_str().len() - 1)
        })
    }),
    work("octets of a URL that is refused", 20_000, |n| {
        let url = format!("smtp://mail.example?{}", "a&".repeat(n));
        prepared(move || {
            Ok(if url.parse::<ServerUrl>().is_err() {
                n
            } else {
                0
            })
        })
    }),
];

const SECRET: &str = "correct horse";

fn large(lines: usize) -> ReplyLimits {
    ReplyLimits::default()
        .line(usize::MAX)
        .lines(lines)
        .bytes(usize::MAX)
}

fn reply_text(lines: usize) -> Vec<u8> {
    let mut reply = b"250-line\r\n".repeat(lines - 1);
    reply.extend_from_slice(b"250 line\r\n");
    reply
}

fn reply_of(lines: usize) -> Result<Reply, Failure> {
    let mut reader = ReplyReader::new(large(lines));
    let text = reply_text(lines);
    let reply = reader.read(&mut &text[..])?.ok_or("no reply")?;
    Ok(reply.to_owned())
}

fn reply_lines(count: usize, cut: usize) -> Result<Prepared, Failure> {
    let text = reply_text(count);
    let mut reader = ReplyReader::new(large(count));
    prepared(move || {
        let mut lines = 0;
        for mut piece in text.chunks(cut) {
            if let Some(reply) = reader.read(&mut piece)? {
                lines += reply.text_lines().count();
            }
        }
        Ok(lines)
    })
}

fn replies(count: usize, cut: usize) -> Result<Prepared, Failure> {
    let text = b"250 ok\r\n".repeat(count);
    let mut reader = ReplyReader::new(ReplyLimits::default());
    prepared(move || {
        let mut replies = 0;
        for mut piece in text.chunks(cut) {
            while reader.read(&mut piece)?.is_some() {
                replies += 1;
            }
        }
        Ok(replies)
    })
}

/// Redacts a text that repeats a part.
fn redacted(count: usize, part: &str) -> Result<Prepared, Failure> {
    let text: String = part.chars().cycle().take(count).collect();
    let redaction = Redaction::of(&Credentials::new("alice", SECRET));
    prepared(move || {
        let clean = redaction.text(&text);
        Ok(if clean.contains(SECRET) { 0 } else { count })
    })
}

fn addresses(count: usize) -> Result<Vec<Address>, Failure> {
    let all = (0..count).map(|n| Ok(format!("bob{n}@example.net").parse()?));
    all.collect()
}

/// A report whose recipients are refused for now.
fn of_report(
    count: usize,
    work: fn(&Report, &Envelope) -> Result<usize, Failure>,
) -> Result<Prepared, Failure> {
    let reply: Reply = "450 4.2.0 later".parse()?;
    let all = addresses(count)?.into_iter();
    let all = all.map(|address| {
        RecipientReport::new(address, RecipientStatus::Refused, Some(reply.clone()))
    });
    let outcome = Outcome::Rejected {
        stage: Stage::Rcpt,
        reply: reply.clone(),
    };
    let report = Report::new(TransactionId::default(), outcome, all.collect());
    let envelope = Envelope::new(None, addresses(count)?)?;
    prepared(move || work(&report, &envelope))
}
