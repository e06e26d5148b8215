//! The syntax of command lines (RFC 5321 §4.1.2): verbs, paths, parameters. It
//! knows no extension and no state.

/// A `MAIL` or `RCPT` command, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PathCommand {
    /// The address without its angle brackets.
    pub(crate) address: String,
    /// The parameters, each as it was written.
    pub(crate) parameters: Vec<String>,
}

/// Why a `MAIL` or `RCPT` command cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    Malformed,
    TooLong,
}

/// The verb of a line in upper case, and its arguments.
pub(crate) fn split_verb(line: &str) -> (String, &str) {
    let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
    (verb.to_ascii_uppercase(), arguments)
}

/// Reads what follows `MAIL ` or `RCPT `; `word` is `FROM:` or `TO:`.
pub(crate) fn path_command(arguments: &str, word: &str) -> Result<PathCommand, SyntaxError> {
    let start = arguments.get(..word.len()).ok_or(SyntaxError::Malformed)?;
    if !start.eq_ignore_ascii_case(word) {
        return Err(SyntaxError::Malformed);
    }
    let path = arguments[word.len()..]
        .strip_prefix('<')
        .ok_or(SyntaxError::Malformed)?;
    let end = path_end(path).ok_or(SyntaxError::Malformed)?;
    let (address, rest) = (&path[..end], &path[end + 1..]);
    check_address(address, word)?;
    let parameters = match rest.strip_prefix(' ') {
        Some(list) => list.split(' ').map(str::to_owned).collect(),
        None if rest.is_empty() => Vec::new(),
        None => return Err(SyntaxError::Malformed),
    };
    let mut names: Vec<String> = Vec::new();
    for parameter in &parameters {
        let name = check_parameter(parameter).ok_or(SyntaxError::Malformed)?;
        if names.contains(&name) {
            return Err(SyntaxError::Malformed);
        }
        names.push(name);
    }
    Ok(PathCommand {
        address: address.to_owned(),
        parameters,
    })
}

/// Where the `>` of a path is; one in a quoted string is none.
fn path_end(path: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in path.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn check_address(address: &str, word: &str) -> Result<(), SyntaxError> {
    if address.is_empty() {
        return if word == "FROM:" {
            Ok(())
        } else {
            Err(SyntaxError::Malformed)
        };
    }
    if word == "TO:" && address.eq_ignore_ascii_case("postmaster") {
        return Ok(());
    }
    // The domain holds no `@`, and a quoted local part may.
    let (local, domain) = address.rsplit_once('@').ok_or(SyntaxError::Malformed)?;
    if !(is_dot_string(local) || is_quoted_string(local)) || !is_domain(domain) {
        return Err(SyntaxError::Malformed);
    }
    // RFC 5321 §4.5.3.1: a path has its angle brackets.
    if local.len() > 64 || domain.len() > 255 || address.len() + 2 > 256 {
        return Err(SyntaxError::TooLong);
    }
    Ok(())
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|char| {
                char.is_ascii_alphanumeric()
                    || "!#$%&'*+-/=?^_`{|}~".contains(char)
                    || !char.is_ascii()
            })
    })
}

fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut escaped = false;
    for char in inner.chars() {
        if char.is_ascii_control() || (char == '"' && !escaped) {
            return false;
        }
        escaped = char == '\\' && !escaped;
    }
    !escaped
}

/// Whether `domain` is a domain or an address literal. Underscores are let through,
/// as by real servers.
pub(crate) fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|inner| {
            !inner.is_empty()
                && inner
                    .bytes()
                    .all(|octet| octet.is_ascii_graphic() && !b"[]\\".contains(&octet))
        });
    }
    domain.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "-_".contains(char) || !char.is_ascii())
    })
}

/// The name of a parameter in upper case, if the parameter follows the syntax.
fn check_parameter(parameter: &str) -> Option<String> {
    let (name, value) = match parameter.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (parameter, None),
    };
    let name_is_right = name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '-');
    // RFC 5321 §4.1.2: a value holds no `=`; xtext encodes it.
    let value_is_right = value.is_none_or(|value| {
        !value.is_empty()
            && value
                .chars()
                .all(|char| !char.is_ascii() || (char.is_ascii_graphic() && char != '='))
    });
    (name_is_right && value_is_right).then(|| name.to_ascii_uppercase())
}

/// Whether `text` is xtext (RFC 3461 §4): `+` starts two hexadecimal digits.
pub(crate) fn is_xtext(text: &str) -> bool {
    let octets = text.as_bytes();
    let mut at = 0;
    while at < octets.len() {
        if octets[at] == b'+' {
            let digits = octets.get(at + 1..at + 3);
            let right = digits.is_some_and(|digits| {
                digits
                    .iter()
                    .all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit))
            });
            if !right {
                return false;
            }
            at += 3;
        } else if octets[at].is_ascii_graphic() && octets[at] != b'=' {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// Reads the arguments of `BDAT`: how many octets follow, and whether they are the
/// last.
pub(crate) fn bdat_arguments(arguments: &str) -> Option<(u64, bool)> {
    let (size, last) = match arguments.split_once(' ') {
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return None,
        None => (arguments, false),
    };
    let digits = !size.is_empty() && size.bytes().all(|octet| octet.is_ascii_digit());
    let size = digits.then(|| size.parse().ok())??;
    Some((size, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_parameters() {
        let command = path_command("FROM:<\"a>b\"@[127.0.0.1]> SIZE=3 SMTPUTF8", "FROM:").unwrap();
        assert_eq!(command.address, "\"a>b\"@[127.0.0.1]");
        assert_eq!(command.parameters, ["SIZE=3", "SMTPUTF8"]);
        assert!(path_command("to:<Postmaster>", "TO:").is_ok());
        assert!(path_command("FROM:<>", "FROM:").is_ok());
        for wrong in [
            "FROM: <a@b>",
            "FROM:a@b",
            "FROM:<a>",
            "FROM:<a@b> ",
            "FROM:<a@b>SIZE=1",
            "FROM:<a@b>  SIZE=1",
            "FROM:<a@b> SIZE=1 size=2",
            "FROM:<a@b> SIZE=",
            "FROM:<a b@c>",
            "FROM:<@x:a@b>",
            "FROM:<a@b",
            "FROM:<.a@b>",
            "FROM:<a@-b>",
            "TO:<a@b>",
        ] {
            assert!(path_command(wrong, "FROM:").is_err(), "{wrong}");
        }
        assert!(path_command("TO:<>", "TO:").is_err());
        let long = format!("TO:<{}@b>", "a".repeat(65));
        assert_eq!(path_command(&long, "TO:"), Err(SyntaxError::TooLong));
    }

    #[test]
    fn chunk_sizes_and_xtext() {
        assert_eq!(bdat_arguments("0 LAST"), Some((0, true)));
        assert_eq!(bdat_arguments("86"), Some((86, false)));
        for wrong in [
            "",
            "x",
            "-1",
            "+1",
            "1 last ",
            "1 FIRST",
            "99999999999999999999999",
        ] {
            assert_eq!(bdat_arguments(wrong), None, "{wrong}");
        }
        assert!(is_xtext("a+2Bb+3D"));
        assert!(!is_xtext("a+2b"));
        assert!(!is_xtext("a=b"));
    }
}
