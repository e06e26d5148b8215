//! The errors of a URL. Knows which part is invalid and why. Must never contain a value from the
//! URL.

use core::error::Error;
use core::fmt;

use postwire_proto::AddressError;

/// A part of a URL that may be percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlPart {
    /// The user name.
    User,
    /// The password.
    Password,
    /// The hello name, which is the path.
    HelloName,
    /// The path of a Unix socket.
    SocketPath,
    /// The query.
    Query,
}

impl fmt::Display for UrlPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user name",
            Self::Password => "password",
            Self::HelloName => "hello name",
            Self::SocketPath => "socket's path",
            Self::Query => "query",
        })
    }
}

/// The error of an invalid server URL. Never repeats a part of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// A blank or a control character (including CR, LF, NUL).
    ForbiddenCharacter {
        /// The number of octets before the character.
        position: usize,
    },
    /// The URL has no `://`.
    MissingScheme,
    /// The scheme is not one of `smtp`, `smtps`, `lmtp`, `smtp+unix` and `lmtp+unix`.
    UnknownScheme,
    /// The URL has an `@` after the first `/`, `?` or `#`: usually the password contains one of
    /// these characters unencoded.
    UnencodedDelimiter,
    /// The URL has a fragment (`#`), which has no meaning here.
    Fragment,
    /// The URL has no host.
    MissingHost,
    /// The URL of a Unix socket has a host or a port: usually a slash is missing.
    HostOfUnixSocket,
    /// The URL of a Unix socket has no path, or its path ends in a slash.
    MissingSocketPath,
    /// The host is neither a DNS name in ASCII nor an IP address.
    InvalidHost,
    /// The text in brackets is not an IPv6 address, or an IPv6 address has no brackets.
    InvalidIpv6,
    /// The text after the host is not a port from 1 to 65535.
    InvalidPort,
    /// The URL has a password but no user name.
    MissingUser,
    /// The URL has a user name but no password, and a password is needed.
    MissingPassword,
    /// The password is empty: usually because a setting was forgotten.
    EmptyPassword,
    /// A `%` is not followed by two hexadecimal digits; `%` itself is `%25`.
    InvalidPercentEncoding(UrlPart),
    /// The part is not UTF-8 when decoded.
    NotUtf8(UrlPart),
    /// The part has a control character when decoded.
    ControlCharacter(UrlPart),
    /// The path is neither a domain nor an address literal.
    InvalidHelloName(AddressError),
    /// The query contains a parameter other than `tls=`.
    UnknownParameter,
    /// The query contains `tls=` more than once.
    RepeatedParameter,
    /// The value of `tls=` in `smtp://` is not one of `none`, `opportunistic` and `required`.
    UnknownTlsMode,
    /// The value of `tls=` in `lmtp://`, or in the URL of a Unix socket, is not one of `none`,
    /// `opportunistic`, `required` and `wrapper`.
    UnknownTlsModeNorWrapper,
    /// The URL combines `smtps://` with a mode other than `wrapper`.
    TlsModeNotOfSmtps,
    /// The URL combines `smtp://` with `tls=wrapper`; use `smtps://` instead.
    WrapperIsSmtps,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForbiddenCharacter { position } => {
                return write!(
                    f,
                    "a blank or control character at octet {position} of the URL must be percent-encoded or left out"
                );
            }
            Self::InvalidPercentEncoding(part) => {
                return write!(
                    f,
                    "a `%` in the {part} is not followed by two hexadecimal digits (`%` itself is `%25`)"
                );
            }
            Self::NotUtf8(part) => return write!(f, "the {part} is not UTF-8"),
            Self::ControlCharacter(part) => {
                return write!(f, "the {part} has a control character");
            }
            Self::InvalidHelloName(error) => {
                return write!(f, "the URL's path is not a valid hello name: {error}");
            }
            Self::MissingScheme => "the URL does not begin with `smtp://`, `smtps://` or `lmtp://`",
            Self::UnknownScheme => {
                "the URL's scheme is not one of `smtp`, `smtps`, `lmtp`, `smtp+unix` and `lmtp+unix`"
            }
            Self::UnencodedDelimiter => {
                "the URL has an `@` after the host: `/`, `?` and `#` in a user name or password must be percent-encoded"
            }
            Self::Fragment => {
                "the URL has a fragment: `#` in a user name or password must be percent-encoded"
            }
            Self::MissingHost => "the URL has no host",
            Self::HostOfUnixSocket => {
                "a Unix socket has no host: its URL has three slashes, as in `lmtp+unix:///run/lmtp`"
            }
            Self::MissingSocketPath => "the URL does not name the file of a Unix socket",
            Self::InvalidHost => {
                "the URL's host is neither a DNS name in ASCII nor an IP address"
            }
            Self::InvalidIpv6 => {
                "the URL's host is not an IPv6 address in brackets, such as `[2001:db8::1]`"
            }
            Self::InvalidPort => "the URL's port is not a number from 1 to 65535",
            Self::MissingUser => "the URL has no user name before the `@`",
            Self::EmptyPassword => "the URL has an empty password",
            Self::MissingPassword => "the URL has a user name but no password",
            Self::UnknownParameter => "the URL's query has a parameter other than `tls=`",
            Self::RepeatedParameter => "the URL's query has `tls=` twice",
            Self::UnknownTlsMode => "`tls=` is not one of `none`, `opportunistic` and `required`",
            Self::UnknownTlsModeNorWrapper => {
                "`tls=` is not one of `none`, `opportunistic`, `required` and `wrapper`"
            }
            Self::TlsModeNotOfSmtps => "`smtps://` always wraps the session in TLS: leave `tls=` out, or use `smtp://`",
            Self::WrapperIsSmtps => "`smtp://` with `tls=wrapper` is written `smtps://`",
        })
    }
}

impl Error for UrlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` includes the text of the inner error.
            Self::InvalidHelloName(error) => error.source(),
            _ => None,
        }
    }
}
