//! The URL of a server: host, port, TLS mode, credentials and hello name in one line.
//!
//! Knows RFC 3986 as far as these URLs need it. Must never connect or resolve a name. No error and
//! no `Debug` repeats a part of the URL that may belong to a password: an unencoded `/` in a
//! password changes where each part begins.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use postwire_proto::{Credentials, HelloName, Protocol, Security};

use postwire_tls::server_name;

mod error;

pub use error::{UrlError, UrlPart};

/// The URL of a server.
///
/// ```text
/// smtp://user:password@host:port/hello-name?tls=none|opportunistic|required
/// smtps://user:password@host:port/hello-name
/// lmtp://user:password@host:port/hello-name?tls=none|opportunistic|required|wrapper
/// smtp+unix:///path/of/socket?tls=none|opportunistic|required|wrapper
/// lmtp+unix:///path/of/socket?tls=none|opportunistic|required|wrapper
/// ```
///
/// All parts except the scheme, and the host or path, are optional.
///
/// | URL | mode | default port |
/// |---|---|---|
/// | `smtps://host` | [`Security::Wrapper`] | 465 |
/// | `smtp://host` | [`Security::Required`] | 587 |
/// | `smtp://host?tls=required` | [`Security::Required`] | 587 |
/// | `smtp://host?tls=opportunistic` | [`Security::Opportunistic`] | 25 |
/// | `smtp://host?tls=none` | [`Security::None`] | 25 |
/// | `lmtp://host` | [`Security::Required`] | 24 |
/// | `lmtp://host?tls=…` | as it says | 24 |
/// | `lmtp+unix:///path`, `smtp+unix:///path` | [`Security::None`] | – |
///
/// For `smtp://` and `lmtp://` without `tls=`, TLS is required: plaintext must be requested. A Unix
/// socket is local to the machine, so its default is plaintext.
///
/// User, password and hello name are percent-decoded (RFC 3986 §2.1) and must
/// then be UTF-8. In a user or password, `/`, `?`, `#`, `%` and (in a user) `:`
/// must be percent-encoded, and so must blanks; control characters are refused even if encoded
/// (RFC 4013 §2.3). A host is a DNS name in ASCII (an internationalised name as `xn--…`), an IPv4
/// address, or an IPv6 address in brackets. The hello name is a domain or an address literal. The
/// path of a socket is absolute, and percent-decoded as well. A certificate of a server on a
/// socket must be valid for `localhost`.
///
/// ```
/// use postwire_proto::Security;
/// use postwire_transport::ServerUrl;
///
/// let url: ServerUrl = "smtp://alice:s%2Fcret@mail.example.org".parse()?;
/// assert_eq!(url.host(), "mail.example.org");
/// assert_eq!(url.port(), 587);
/// assert_eq!(url.mode(), Security::Required);
/// assert_eq!(url.to_string(), "smtp://***@mail.example.org:587?tls=required");
/// # Ok::<(), postwire_transport::UrlError>(())
/// ```
///
/// With the feature `serde` it is read from its text, and written without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    protocol: Protocol,
    mode: Security,
    host: String,
    port: Option<u16>,
    credentials: Option<Credentials>,
    user: Option<String>,
    hello_name: Option<HelloName>,
    unix_socket: Option<PathBuf>,
}

/// The host name of a server on a Unix socket.
const LOCAL_HOST: &str = "localhost";

impl ServerUrl {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`] if the URL is invalid. The error does not repeat the URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if let Some((position, _)) = url
            .char_indices()
            .find(|(_, character)| character.is_control() || character.is_whitespace())
        {
            return Err(UrlError::ForbiddenCharacter { position });
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::MissingScheme)?;
        let scheme = Scheme::parse(scheme)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Checked first: any other error would be about a piece of a password.
        if rest.contains('@') {
            return Err(UrlError::UnencodedDelimiter);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));

        let (user_info, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, host_and_port)) => (Some(user_info), host_and_port),
            None => (None, authority),
        };
        let mut parsed = Self {
            protocol: scheme.protocol(),
            mode: Security::None,
            host: LOCAL_HOST.to_owned(),
            port: None,
            credentials: None,
            user: None,
            hello_name: None,
            unix_socket: None,
        };
        if scheme.is_unix_socket() {
            if !host_and_port.is_empty() {
                return Err(UrlError::HostOfUnixSocket);
            }
            parsed.unix_socket = Some(parse_socket_path(path)?);
        } else {
            let (host, port) = split_host(host_and_port)?;
            host.clone_into(&mut parsed.host);
            parsed.port = port.map_or(Ok(None), parse_port)?;
            parsed.hello_name = parse_hello_name(path)?;
        }
        parsed.mode = scheme.mode(tls_parameter(query, scheme)?)?;
        if let Some(user_info) = user_info {
            let (user, password) = parse_user_info(user_info)?;
            let credentials = password.map(|password| Credentials::new(user.as_str(), password));
            (parsed.user, parsed.credentials) = (Some(user), credentials);
        }
        Ok(parsed)
    }

    /// The protocol: LMTP for `lmtp://` and `lmtp+unix://`, otherwise SMTP.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The TLS mode.
    pub fn mode(&self) -> Security {
        self.mode
    }

    /// The host: a DNS name or an IP address (IPv6 without brackets); `localhost` if the URL names
    /// a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of the URL, or the default for its protocol and mode. Never 0.
    pub fn port(&self) -> u16 {
        self.port
            .unwrap_or_else(|| default_port(self.protocol, self.mode))
    }

    /// The port, if the URL contains one.
    pub fn explicit_port(&self) -> Option<u16> {
        self.port
    }

    /// The Unix socket, if the URL names one.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.unix_socket.as_deref()
    }

    /// The user name, with or without a password in the URL.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// User name and password, if the URL contains both.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The name for EHLO or LHLO, if the URL contains one.
    pub fn hello_name(&self) -> Option<&HelloName> {
        self.hello_name.as_ref()
    }
}

/// The default port: 24 for LMTP (RFC 2033 leaves it to the administrator); for SMTP 25 (RFC 5321)
/// with plaintext or opportunistic TLS, 587 (RFC 6409) with required TLS, and 465 (RFC 8314) with
/// implicit TLS.
pub(crate) fn default_port(protocol: Protocol, mode: Security) -> u16 {
    match (protocol, mode) {
        (Protocol::Lmtp, _) => 24,
        (Protocol::Smtp, Security::None | Security::Opportunistic) => 25,
        (Protocol::Smtp, Security::Required) => 587,
        (Protocol::Smtp, Security::Wrapper) => 465,
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        Self::parse(url)
    }
}

impl TryFrom<&str> for ServerUrl {
    type Error = UrlError;

    fn try_from(url: &str) -> Result<Self, UrlError> {
        Self::parse(url)
    }
}

/// Writes the whole URL with an explicit port and mode, and with `***` for user and password,
/// because some services take a token as the user name.
impl ServerUrl {
    /// Writes the URL with this in the place of user and password.
    fn write(&self, f: &mut fmt::Formatter<'_>, user_info: &str) -> fmt::Result {
        let scheme = match (self.protocol, &self.unix_socket, self.mode) {
            (Protocol::Lmtp, None, _) => "lmtp",
            (Protocol::Lmtp, Some(_), _) => "lmtp+unix",
            (Protocol::Smtp, Some(_), _) => "smtp+unix",
            (Protocol::Smtp, None, Security::Wrapper) => "smtps",
            (Protocol::Smtp, None, _) => "smtp",
        };
        write!(f, "{scheme}://{user_info}")?;
        match &self.unix_socket {
            Some(path) => {
                let path = path.to_string_lossy();
                write!(f, "{}", utf8_percent_encode(&path, IN_SOCKET_PATH))?;
            }
            None if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port())?,
            None => write!(f, "{}:{}", self.host, self.port())?,
        }
        if let Some(name) = &self.hello_name {
            write!(f, "/{}", utf8_percent_encode(name.as_str(), IN_PATH))?;
        }
        match scheme {
            "smtps" => Ok(()),
            _ => write!(f, "?tls={}", self.mode),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.credentials.as_ref().map_or("", |_| "***@"))
    }
}

/// A URL as it is serialised: without user and password, so that it can be read again.
#[cfg(feature = "serde")]
pub(crate) struct WithoutUser<'a>(pub(crate) &'a ServerUrl);

#[cfg(feature = "serde")]
impl fmt::Display for WithoutUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "")
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// The characters that must be encoded in a path segment.
const IN_PATH: &AsciiSet = &IN_SOCKET_PATH.add(b'/');

/// The characters that must be encoded in a path of several segments.
const IN_SOCKET_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'?').add(b'%').add(b'@');

#[derive(Clone, Copy)]
enum Scheme {
    Smtp,
    Smtps,
    Lmtp,
    SmtpOverUnix,
    LmtpOverUnix,
}

impl Scheme {
    /// Parses a scheme in upper or lower case (RFC 3986 §3.1).
    fn parse(scheme: &str) -> Result<Self, UrlError> {
        [
            ("smtp", Self::Smtp),
            ("smtps", Self::Smtps),
            ("lmtp", Self::Lmtp),
            ("smtp+unix", Self::SmtpOverUnix),
            ("lmtp+unix", Self::LmtpOverUnix),
        ]
        .into_iter()
        .find_map(|(name, value)| scheme.eq_ignore_ascii_case(name).then_some(value))
        .ok_or(UrlError::UnknownScheme)
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Smtp | Self::Smtps | Self::SmtpOverUnix => Protocol::Smtp,
            Self::Lmtp | Self::LmtpOverUnix => Protocol::Lmtp,
        }
    }

    fn is_unix_socket(self) -> bool {
        matches!(self, Self::SmtpOverUnix | Self::LmtpOverUnix)
    }

    /// The error where `tls=` names no mode.
    fn unknown_mode(self) -> UrlError {
        match self {
            Self::Smtp => UrlError::UnknownTlsMode,
            Self::Smtps => UrlError::TlsModeNotOfSmtps,
            Self::Lmtp | Self::SmtpOverUnix | Self::LmtpOverUnix => {
                UrlError::UnknownTlsModeNorWrapper
            }
        }
    }

    fn mode(self, asked: Option<Security>) -> Result<Security, UrlError> {
        match (self, asked) {
            (Self::Smtps, None | Some(Security::Wrapper)) => Ok(Security::Wrapper),
            (Self::Smtps, Some(_)) => Err(UrlError::TlsModeNotOfSmtps),
            (Self::Smtp, Some(Security::Wrapper)) => Err(UrlError::WrapperIsSmtps),
            (Self::Smtp | Self::Lmtp, mode) => Ok(mode.unwrap_or(Security::Required)),
            (Self::SmtpOverUnix | Self::LmtpOverUnix, mode) => Ok(mode.unwrap_or(Security::None)),
        }
    }
}

/// Splits the host from the port after the colon, without decoding.
fn split_host(host_and_port: &str) -> Result<(&str, Option<&str>), UrlError> {
    if host_and_port.parse::<Ipv6Addr>().is_ok() {
        return Err(UrlError::InvalidIpv6);
    }
    if host_and_port.is_empty() || host_and_port.starts_with(':') {
        return Err(UrlError::MissingHost);
    }
    if let Some(rest) = host_and_port.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(UrlError::InvalidIpv6)?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(UrlError::InvalidIpv6);
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(UrlError::InvalidPort),
        };
    }
    let (host, port) = match host_and_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_and_port, None),
    };
    if server_name(host).is_none() {
        return Err(UrlError::InvalidHost);
    }
    Ok((host, port))
}

/// Parses a port. An empty port means that there is none (RFC 3986 §3.2.3).
fn parse_port(port: &str) -> Result<Option<u16>, UrlError> {
    if port.is_empty() {
        return Ok(None);
    }
    // `parse` alone would accept a sign.
    if !port.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(UrlError::InvalidPort);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(UrlError::InvalidPort),
        Ok(port) => Ok(Some(port)),
    }
}

/// Parses the user name, and the password if there is one.
fn parse_user_info(user_info: &str) -> Result<(String, Option<String>), UrlError> {
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (user_info, None),
    };
    if user.is_empty() {
        return Err(UrlError::MissingUser);
    }
    if password == Some("") {
        return Err(UrlError::EmptyPassword);
    }
    let password = password.map(|password| decode(password, UrlPart::Password));
    Ok((decode(user, UrlPart::User)?, password.transpose()?))
}

fn parse_hello_name(path: &str) -> Result<Option<HelloName>, UrlError> {
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.is_empty() {
        return Ok(None);
    }
    decode(name.strip_suffix('/').unwrap_or(name), UrlPart::HelloName)?
        .parse()
        .map(Some)
        .map_err(UrlError::InvalidHelloName)
}

/// Parses the absolute path of a socket, including its first slash.
fn parse_socket_path(path: &str) -> Result<PathBuf, UrlError> {
    let path = decode(path, UrlPart::SocketPath)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(UrlError::MissingSocketPath);
    }
    Ok(PathBuf::from(path))
}

fn tls_parameter(query: &str, scheme: Scheme) -> Result<Option<Security>, UrlError> {
    let mut mode = None;
    for parameter in query.split('&').filter(|_| !query.is_empty()) {
        let Some(value) = parameter.strip_prefix("tls=") else {
            return Err(UrlError::UnknownParameter);
        };
        let value = decode(value, UrlPart::Query)?;
        let value = value.parse().map_err(|_| scheme.unknown_mode())?;
        if mode.replace(value).is_some() {
            return Err(UrlError::RepeatedParameter);
        }
    }
    Ok(mode)
}

/// Percent-decodes strictly: a lenient decoder would turn a forgotten `%25` into another password.
fn decode(text: &str, part: UrlPart) -> Result<String, UrlError> {
    let is_valid = text.split('%').skip(1).all(|after| {
        matches!(after.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    });
    if !is_valid {
        return Err(UrlError::InvalidPercentEncoding(part));
    }
    // One that grows would leave parts of a password behind.
    let mut octets = Vec::with_capacity(text.len());
    octets.extend(percent_decode_str(text));
    let decoded = String::from_utf8(octets).map_err(|_| UrlError::NotUtf8(part))?;
    if decoded.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter(part));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
