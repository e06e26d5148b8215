//! Parser of command lines (RFC 5321 §4.1).
//!
//! Knows the grammar. Must never know whether the command is allowed now.

use postwire_proto::Address;

use crate::config::ServerConfig;
use crate::default_reply::{self, DefaultReply};

/// A command with its arguments, parsed as far as possible without context.
#[derive(Debug, PartialEq)]
pub(crate) enum Command<'a> {
    Hello {
        kind: HelloKind,
        name: &'a str,
    },
    Mail {
        reverse_path: Option<Address>,
        parameters: &'a str,
    },
    Rcpt {
        forward_path: Address,
        parameters: &'a str,
    },
    Data,
    /// RFC 3030 §2.
    Bdat {
        octets: u64,
        last: bool,
    },
    /// The size of the content that follows is unknown.
    MalformedBdat,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    Auth {
        mechanism: &'a str,
        initial_response: Option<&'a str>,
    },
}

/// The command with which the client introduces itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum HelloKind {
    /// Without extensions (RFC 5321 §4.1.1.1).
    Helo,
    Ehlo,
    /// RFC 2033 §4.1.
    Lhlo,
}

impl<'a> Command<'a> {
    /// Parses a line without its CRLF.
    pub(crate) fn parse(line: &'a [u8], config: &ServerConfig) -> Result<Self, DefaultReply> {
        let line = core::str::from_utf8(line).map_err(|_| default_reply::NOT_TEXT)?;
        // RFC 5321 §4.1.1: trailing white space is tolerated.
        let line = line.trim_end_matches([' ', '\t']);
        if line.chars().any(char::is_control) {
            return Err(default_reply::NOT_TEXT);
        }
        let (verb, arguments) = match line.split_once(' ') {
            Some((verb, arguments)) => (verb, Some(arguments)),
            None => (line, None),
        };
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        if is("EHLO") {
            hello(HelloKind::Ehlo, arguments)
        } else if is("HELO") {
            hello(HelloKind::Helo, arguments)
        } else if is("LHLO") {
            hello(HelloKind::Lhlo, arguments)
        } else if is("MAIL") {
            mail(arguments, config)
        } else if is("RCPT") {
            rcpt(arguments, config)
        } else if is("DATA") {
            alone(Self::Data, arguments)
        } else if is("BDAT") {
            Ok(bdat(arguments).unwrap_or(Self::MalformedBdat))
        } else if is("RSET") {
            alone(Self::Rset, arguments)
        } else if is("QUIT") {
            alone(Self::Quit, arguments)
        } else if is("STARTTLS") {
            alone(Self::StartTls, arguments)
        } else if is("AUTH") {
            auth(arguments)
        } else if is("NOOP") {
            Ok(Self::Noop)
        } else if is("HELP") {
            Ok(Self::Help)
        } else if is("VRFY") {
            arguments
                .map(|_| Self::Vrfy)
                .ok_or(default_reply::SYNTAX_ERROR)
        } else if is("EXPN") {
            arguments
                .map(|_| Self::Expn)
                .ok_or(default_reply::SYNTAX_ERROR)
        } else {
            Err(default_reply::UNKNOWN_COMMAND)
        }
    }
}

/// Every verb, also where its arguments are missing; `AUTH` is treated before.
const VERBS: [&str; 14] = [
    "BDAT", "DATA", "EHLO", "EXPN", "HELO", "HELP", "LHLO", "MAIL", "NOOP", "QUIT", "RCPT", "RSET",
    "STARTTLS", "VRFY",
];

impl Command<'_> {
    /// Whether the line is a command, or has several words, unlike the responses of `AUTH`.
    pub(crate) fn is_known_or_several_words(line: &[u8]) -> bool {
        let line = line.trim_ascii_end();
        let mut known = VERBS.iter();
        line.is_empty()
            || line.contains(&b' ')
            || known.any(|known| line.eq_ignore_ascii_case(known.as_bytes()))
    }
}

fn alone<'a>(command: Command<'a>, arguments: Option<&str>) -> Result<Command<'a>, DefaultReply> {
    match arguments {
        None => Ok(command),
        Some(_) => Err(default_reply::SYNTAX_ERROR),
    }
}

/// RFC 5321 §4.1.4: the server must not refuse a client because of its name, so any word is
/// accepted.
fn hello(kind: HelloKind, arguments: Option<&str>) -> Result<Command<'_>, DefaultReply> {
    arguments
        .filter(|name| !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic()))
        .map(|name| Command::Hello { kind, name })
        .ok_or(default_reply::SYNTAX_ERROR)
}

/// RFC 5321 §4.1.1.2: no blank is allowed next to the colon.
fn mail<'a>(
    arguments: Option<&'a str>,
    config: &ServerConfig,
) -> Result<Command<'a>, DefaultReply> {
    let (path, parameters) = arguments
        .and_then(|arguments| strip_prefix_ignoring_case(arguments, "FROM:"))
        .and_then(split_path)
        .ok_or(default_reply::SYNTAX_ERROR)?;
    let reverse_path = match without_source_route(path) {
        "" => Ok(None),
        path => config.address(path).map(Some),
    };
    Ok(Command::Mail {
        reverse_path: reverse_path.map_err(|_| default_reply::INVALID_SENDER)?,
        parameters,
    })
}

/// RFC 5321 §4.1.1.3.
fn rcpt<'a>(
    arguments: Option<&'a str>,
    config: &ServerConfig,
) -> Result<Command<'a>, DefaultReply> {
    let (path, parameters) = arguments
        .and_then(|arguments| strip_prefix_ignoring_case(arguments, "TO:"))
        .and_then(split_path)
        .ok_or(default_reply::SYNTAX_ERROR)?;
    let forward_path = if path.eq_ignore_ascii_case("postmaster") {
        Address::new(path, config.hostname.as_str())
    } else {
        config.address(without_source_route(path))
    };
    Ok(Command::Rcpt {
        forward_path: forward_path.map_err(|_| default_reply::INVALID_RECIPIENT)?,
        parameters,
    })
}

fn bdat(arguments: Option<&str>) -> Option<Command<'_>> {
    let arguments = arguments?;
    let (octets, last) = match arguments.split_once(' ') {
        Some((octets, last)) if last.eq_ignore_ascii_case("LAST") => (octets, true),
        Some(_) => return None,
        None => (arguments, false),
    };
    let octets = parse_digits(octets)?;
    Some(Command::Bdat { octets, last })
}

fn auth(arguments: Option<&str>) -> Result<Command<'_>, DefaultReply> {
    let arguments = arguments.ok_or(default_reply::SYNTAX_ERROR)?;
    let (mechanism, initial_response) = match arguments.split_once(' ') {
        Some((mechanism, response)) => (mechanism, Some(response)),
        None => (arguments, None),
    };
    if mechanism.is_empty() {
        return Err(default_reply::SYNTAX_ERROR);
    }
    Ok(Command::Auth {
        mechanism,
        initial_response,
    })
}

/// Reads a number without a sign; `None` if it has more than 20 digits or is too large.
fn parse_digits(text: &str) -> Option<u64> {
    let is_number = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Splits `<path>` from the parameters that follow after one blank.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('<')?;
    let (path, rest) = text.split_at_checked(path_length(text)?)?;
    let parameters = match rest.strip_prefix('>')? {
        "" => "",
        rest => rest.strip_prefix(' ')?,
    };
    Some((path, parameters))
}

/// The length of the path, up to the first `>` outside a quoted string.
fn path_length(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut octets = text.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'>' if !quoted => return Some(at),
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(octets.next()),
            _ => {}
        }
    }
    None
}

/// RFC 5321 §4.1.1.3, appendix C: source routes are accepted and ignored.
fn without_source_route(path: &str) -> &str {
    match path.split_once(':') {
        Some((route, path)) if route.starts_with('@') => path,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use postwire_proto::HelloName;

    use super::*;

    fn config() -> ServerConfig {
        ServerConfig::new(HelloName::localhost())
    }

    fn parse(line: &str) -> Result<Command<'_>, DefaultReply> {
        Command::parse(line.as_bytes(), &config())
    }

    fn address(text: &str) -> Address {
        text.parse().expect(text)
    }

    #[test]
    fn verbs_are_found_in_any_case() {
        assert_eq!(parse("nOOp any thing"), Ok(Command::Noop));
        assert_eq!(parse("quit \t "), Ok(Command::Quit));
        assert_eq!(parse("QUIT now"), Err(default_reply::SYNTAX_ERROR));
        assert_eq!(parse("VRFY"), Err(default_reply::SYNTAX_ERROR));
        for line in ["", " NOOP", "NOOPS", "GET / HTTP/1.1"] {
            assert_eq!(parse(line), Err(default_reply::UNKNOWN_COMMAND));
        }
        for line in ["NOOP\rRSET", "NOOP \0", "NOOP\tx", "NOOP \u{85}"] {
            assert_eq!(parse(line), Err(default_reply::NOT_TEXT));
        }
        assert_eq!(
            Command::parse(b"NOOP \xff", &config()),
            Err(default_reply::NOT_TEXT)
        );
    }

    #[test]
    fn a_name_is_one_word() {
        let name = |name| Command::Hello {
            kind: HelloKind::Ehlo,
            name,
        };
        assert_eq!(parse("EHLO [192.0.2.1]"), Ok(name("[192.0.2.1]")));
        for line in ["EHLO", "EHLO ", "EHLO a b", "EHLO \u{fc}"] {
            assert_eq!(parse(line), Err(default_reply::SYNTAX_ERROR));
        }
    }

    #[test]
    fn paths_end_where_they_should() {
        let mail = |reverse_path, parameters| Command::Mail {
            reverse_path,
            parameters,
        };
        assert_eq!(parse("MAIL FROM:<>"), Ok(mail(None, "")));
        let quoted = r#""a>\"b"@example.org"#;
        assert_eq!(
            parse(&alloc::format!("mail from:<{quoted}> SIZE=1 X")),
            Ok(mail(Some(address(quoted)), "SIZE=1 X"))
        );
        assert_eq!(
            parse("MAIL FROM:<@a,@b:c@d>"),
            Ok(mail(Some(address("c@d")), ""))
        );
        for line in [
            "MAIL",
            "MAIL FROM:",
            "MAIL FROM",
            "MAIL FROM: <a@b>",
            "MAIL FROM:a@b",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>SIZE=1",
            "MAIL TO:<a@b>",
            "MAIL FRO\u{20ac}<>",
            "RCPT FROM:<a@b>",
        ] {
            assert_eq!(parse(line), Err(default_reply::SYNTAX_ERROR), "{line}");
        }
        assert_eq!(parse("MAIL FROM:<a>"), Err(default_reply::INVALID_SENDER));
        assert_eq!(parse("RCPT TO:<>"), Err(default_reply::INVALID_RECIPIENT));
        assert_eq!(
            parse("RCPT TO:<a@b@c>"),
            Err(default_reply::INVALID_RECIPIENT)
        );
        assert_eq!(
            parse("RCPT TO:<Postmaster>"),
            Ok(Command::Rcpt {
                forward_path: address("Postmaster@[127.0.0.1]"),
                parameters: "",
            })
        );
    }

    #[test]
    fn a_domain_may_be_optional() {
        let config = config().bare_local_parts(true);
        let parse = |line: &'static str| Command::parse(line.as_bytes(), &config);
        assert_eq!(
            parse("MAIL FROM:<root>"),
            Ok(Command::Mail {
                reverse_path: Some(address("root@[127.0.0.1]")),
                parameters: "",
            })
        );
        assert_eq!(
            parse("RCPT TO:<\"a b\"> X"),
            Ok(Command::Rcpt {
                forward_path: address("\"a b\"@[127.0.0.1]"),
                parameters: "X",
            })
        );
        for line in [
            "RCPT TO:<>",
            "RCPT TO:<a@>",
            "RCPT TO:<a b>",
            "RCPT TO:<a@b@c>",
        ] {
            assert_eq!(parse(line), Err(default_reply::INVALID_RECIPIENT), "{line}");
        }
    }

    #[test]
    fn chunk_sizes_are_plain_numbers() {
        for (line, octets, last) in [
            ("BDAT 0", 0, false),
            ("BDAT 17 last", 17, true),
            ("BDAT 18446744073709551615", u64::MAX, false),
        ] {
            assert_eq!(parse(line), Ok(Command::Bdat { octets, last }));
        }
        for line in [
            "BDAT",
            "BDAT ",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 1 LAS",
            "BDAT 1  LAST",
            "BDAT 18446744073709551616",
            "BDAT 000000000000000000001",
        ] {
            assert_eq!(parse(line), Ok(Command::MalformedBdat), "{line}");
        }
    }

    #[test]
    fn auth_may_carry_an_initial_response() {
        assert_eq!(
            parse("AUTH PLAIN ="),
            Ok(Command::Auth {
                mechanism: "PLAIN",
                initial_response: Some("="),
            })
        );
        assert_eq!(
            parse("AUTH login"),
            Ok(Command::Auth {
                mechanism: "login",
                initial_response: None,
            })
        );
        assert_eq!(parse("AUTH"), Err(default_reply::SYNTAX_ERROR));
        assert_eq!(parse("AUTH  x"), Err(default_reply::SYNTAX_ERROR));
    }
}
