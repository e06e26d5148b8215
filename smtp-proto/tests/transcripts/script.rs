//! The parser of transcripts. Knows the notation. Must never know a client.

use std::error::Error;
use std::iter::Peekable;
use std::net::IpAddr;
use std::str::Chars;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postwire_proto::{
    Address, BodySource, ChannelBinding, ChannelBindingPolicy, ClientConfig, Command, CommandError,
    Credentials, DeliverBy, Envelope, EnvelopeId, FutureRelease, Limits, LineEnds, MailParameter,
    Mechanism, MtPriority, Notify, OriginalRecipient, Parameter, ParameterError, Pipelining,
    Protocol, RcptParameter, Recipients, RequireTls, Return, Security, StreamFacts, Timeouts,
};

pub(crate) struct Script {
    pub(crate) config: ClientConfig,
    /// All credentials, whose secrets must not be shown.
    pub(crate) credentials: Vec<Credentials>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) local_address: Option<IpAddr>,
    /// Each step with the number of its first line.
    pub(crate) steps: Vec<(usize, Step)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// What arrives from the server in one piece.
    Arrives(Vec<u8>),
    EndOfFile,
    TransportError(String),
    /// What the client writes in one flight.
    Flight(Vec<u8>),
    Stall,
    Take(usize),
    Message(Envelope, BodySource),
    Command(Command),
    Quit,
    Abort,
    Chunk {
        message: usize,
        octets: Vec<u8>,
        misuse: bool,
    },
    End {
        message: usize,
        misuse: bool,
    },
    Fail {
        message: usize,
        reason: String,
    },
    Credentials(Credentials, bool),
    CredentialsFailed(String, bool),
    TlsEstablished(Option<ChannelBinding>),
    /// TLS with a verified certificate.
    TlsVerified,
    TlsFailed(String),
    TlsInjection(String),
    Passes(Duration),
    TimesOut(Duration),
    NoDeadline,
    Event(String),
    Idle(bool),
    Offered(Vec<String>),
    Greeting(String),
    Trace(String),
    NotTraced(String),
}

impl Script {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config = ConfigText::default();
        let mut steps: Vec<(usize, Step)> = Vec::new();
        // After a blank line the server's next line arrives separately.
        let mut gap = true;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let located = |error: String| format!("{number}: {error}\n    {line}");
            if line.is_empty() {
                gap = true;
            } else if let Some(text) = line.strip_prefix("config:") {
                config.read(text).map_err(located)?;
            } else if !line.starts_with('#') {
                let step = Step::parse(line).map_err(located)?;
                match (steps.last_mut(), step) {
                    (Some((_, Step::Arrives(before))), Step::Arrives(more)) if !gap => {
                        before.extend(more);
                    }
                    (Some((_, Step::Flight(before))), Step::Flight(more)) => before.extend(more),
                    (_, step) => steps.push((number, step)),
                }
                gap = false;
            }
        }
        let mut settings = config.finish();
        for (_, step) in &steps {
            if let Step::Credentials(credentials, _) = step {
                settings.credentials.push(credentials.clone());
            }
        }
        Ok(Self {
            config: settings.config,
            credentials: settings.credentials,
            nonce: settings.nonce,
            local_address: settings.local_address,
            steps,
        })
    }
}

impl Step {
    fn parse(line: &str) -> Result<Self, String> {
        if let Some(text) = line.strip_prefix("C:") {
            return wire_line(text).map(Self::Flight);
        }
        if let Some(text) = line.strip_prefix("S:") {
            return match text.trim() {
                "EOF" => Ok(Self::EndOfFile),
                _ => wire_line(text).map(Self::Arrives),
            };
        }
        if let Some(text) = line.strip_prefix("message:") {
            return message(text);
        }
        if let Some(text) = line.strip_prefix("command: ") {
            return command(text).map(Self::Command).map_err(|e| e.to_string());
        }
        if let Some(text) = line.strip_prefix('@') {
            return Ok(match text.strip_suffix(" timeout") {
                Some(after) => Self::TimesOut(duration(after)?),
                None => Self::Passes(duration(text)?),
            });
        }
        if let Some(text) = line.strip_prefix("not traced: ") {
            return Ok(Self::NotTraced(text.to_owned()));
        }
        if let Some(text) = line.strip_prefix("trace: ") {
            return Ok(Self::Trace(text.to_owned()));
        }
        if let Some(text) = line.strip_prefix("greeting: ") {
            return Ok(Self::Greeting(text.to_owned()));
        }
        if let Some(text) = line.strip_prefix("offered:") {
            let keywords = text.split_whitespace().filter(|word| *word != "nothing");
            return Ok(Self::Offered(keywords.map(str::to_owned).collect()));
        }
        let (call, misuse) = match line.strip_suffix(" is misuse") {
            Some(call) => (call, true),
            None => (line, false),
        };
        if let Some(text) = call.strip_prefix("chunk ") {
            let (message, text) = text.split_once(": ").ok_or("chunk N: \"text\"")?;
            let words = words(text)?;
            let [Word::Quoted(octets)] = &words[..] else {
                return Err("chunk N: \"text\"".into());
            };
            return Ok(Self::Chunk {
                message: number(message)?,
                octets: octets.clone(),
                misuse,
            });
        }
        if let Some(text) = call.strip_prefix("end ") {
            let message = number(text)?;
            return Ok(Self::End { message, misuse });
        }
        if let Some(text) = line.strip_prefix("fail ") {
            let (message, reason) = text.split_once(": ").ok_or("fail N: reason")?;
            return Ok(Self::Fail {
                message: number(message)?,
                reason: reason.to_owned(),
            });
        }
        if let Some(reason) = call.strip_prefix("credentials failed: ") {
            return Ok(Self::CredentialsFailed(reason.to_owned(), misuse));
        }
        if let Some(text) = call.strip_prefix("log in with ") {
            let words = words(text)?;
            let texts: Vec<String> = words.iter().map(Word::text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let credentials = credentials(&texts).ok_or("log in with KIND …")?;
            return Ok(Self::Credentials(credentials, misuse));
        }
        if line == "TLS established verified" {
            return Ok(Self::TlsVerified);
        }
        if let Some(text) = line.strip_prefix("TLS established ") {
            return channel_binding(text).map(|binding| Self::TlsEstablished(Some(binding)));
        }
        if let Some(said) = line.strip_prefix("plaintext instead of TLS: ") {
            return Ok(Self::TlsInjection(format!("{said}\r\n")));
        }
        if let Some(reason) = line.strip_prefix("TLS failed: ") {
            return Ok(Self::TlsFailed(reason.to_owned()));
        }
        if let Some(reason) = line.strip_prefix("transport error: ") {
            return Ok(Self::TransportError(reason.to_owned()));
        }
        if let Some(octets) = line.strip_prefix("take ") {
            return number(octets).map(Self::Take);
        }
        Ok(match line {
            "stall" => Self::Stall,
            "quit" => Self::Quit,
            "abort" => Self::Abort,
            "TLS established" => Self::TlsEstablished(None),
            "no deadline" => Self::NoDeadline,
            "idle" => Self::Idle(true),
            "not idle" => Self::Idle(false),
            "ready" | "TLS wanted" | "credentials wanted" => Self::Event(line.to_owned()),
            _ if [
                "report ",
                "reply ",
                "closed: ",
                "wanted ",
                "credentials wanted: ",
            ]
            .iter()
            .any(|event| line.starts_with(event)) =>
            {
                Self::Event(line.to_owned())
            }
            _ => return Err("no such step".into()),
        })
    }
}

/// Such as `password alice "correct horse" acting for bob`.
fn credentials(words: &[&str]) -> Option<Credentials> {
    if let [words @ .., "acting", "for", identity] = words {
        return Some(credentials(words)?.with_authorization_identity(*identity));
    }
    Some(match *words {
        ["password", user, password] => Credentials::new(user, password),
        ["token", user, token] => Credentials::token(user, token),
        ["external"] => Credentials::external(),
        ["anonymous", trace] => Credentials::anonymous(trace),
        _ => return None,
    })
}

/// Such as `tls-exporter "octets"`.
fn channel_binding(text: &str) -> Result<ChannelBinding, String> {
    let words = words(text)?;
    match &words[..] {
        [Word::Bare(kind), Word::Quoted(octets)] if kind == "tls-exporter" => {
            Ok(ChannelBinding::TlsExporter(octets.clone()))
        }
        [Word::Bare(kind), Word::Quoted(octets)] if kind == "tls-server-end-point" => {
            Ok(ChannelBinding::TlsServerEndPoint(octets.clone()))
        }
        _ => Err("tls-exporter|tls-server-end-point \"octets\"".into()),
    }
}

fn command(text: &str) -> Result<Command, CommandError> {
    match text.split_once(' ') {
        Some(("VRFY", mailbox)) => Command::vrfy(mailbox),
        Some(("EXPN", list)) => Command::expn(list),
        Some(("ETRN", node)) => Command::etrn(node),
        Some(("HELP", topic)) => Command::help_on(topic),
        None if text == "HELP" => Ok(Command::help()),
        None if text == "NOOP" => Ok(Command::noop()),
        _ => Command::raw(text),
    }
}

fn message(text: &str) -> Result<Step, String> {
    let form = || "from A to B, C with XFOO=bar body \"text\"".to_owned();
    let text = text.trim().strip_prefix("from ").ok_or_else(form)?;
    let (reverse_path, text) = text.split_once(" to ").ok_or_else(form)?;
    let (forward_paths, body) = text.split_once(" body ").ok_or_else(form)?;
    let (forward_paths, parameters) = match forward_paths.split_once(" with ") {
        Some((forward_paths, parameters)) => (forward_paths, parameters),
        None => (forward_paths, ""),
    };
    let (forward_paths, rule) = match forward_paths.strip_suffix(" (all)") {
        Some(forward_paths) => (forward_paths, Recipients::All),
        None => (forward_paths, Recipients::Any),
    };
    let reverse_path = Envelope::parse_reverse_path(reverse_path).map_err(|e| e.to_string())?;
    let mut paths: Vec<Address> = Vec::new();
    for path in forward_paths.split(", ") {
        paths.push(path.parse().map_err(|e| format!("{path}: {e}"))?);
    }
    let mut envelope = Envelope::new(reverse_path, paths).map_err(|e| e.to_string())?;
    for word in parameters.split_whitespace() {
        envelope = add_parameter(envelope, word).map_err(|e| format!("{word}: {e}"))?;
    }
    let words = words(body)?;
    let body = match &words[..] {
        [Word::Quoted(octets)] => BodySource::from(octets.clone()),
        [Word::Bare(stream), declared @ ..] if stream == "stream" => stream_facts(declared)?.into(),
        _ => return Err(form()),
    };
    Ok(Step::Message(envelope.with_recipients(rule), body))
}

/// `all:X=Y` is for every recipient and `1:X=Y` for the second one; a final `?` allows the
/// parameter to be left out, and a final `!` forbids it; `X=Y{Z}` is a parameter of the
/// extension `Z`.
fn add_parameter(envelope: Envelope, word: &str) -> Result<Envelope, Box<dyn Error>> {
    if let Some(word) = word.strip_prefix("all:") {
        return Ok(envelope.with_parameter_for_all(parameter::<RcptParameter>(word)?));
    }
    match word.split_once(':') {
        Some((recipient, word)) if recipient.parse::<usize>().is_ok() => {
            let parameter = parameter::<RcptParameter>(word)?;
            Ok(envelope.with_recipient_parameter(recipient.parse()?, parameter)?)
        }
        _ => Ok(envelope.with_parameter(parameter::<MailParameter>(word)?)),
    }
}

fn parameter<P: AnyParameter>(word: &str) -> Result<P, Box<dyn Error>> {
    if let Some(word) = word.strip_suffix('?') {
        return Ok(parameter::<P>(word)?.left_out());
    }
    if let Some(word) = word.strip_suffix('!') {
        return Ok(parameter::<P>(word)?.not_sent());
    }
    if let Some((word, extension)) = word.strip_suffix('}').and_then(|w| w.split_once('{')) {
        let raw: Parameter = word.parse()?;
        return Ok(raw.with_extension(extension)?.into());
    }
    let (keyword, value) = word.split_once('=').unwrap_or((word, ""));
    match P::typed(keyword, value)? {
        Some(typed) => Ok(typed),
        None => Ok(word.parse::<Parameter>()?.into()),
    }
}

/// The common interface of parameters of `MAIL` and `RCPT`, and their typed parameters.
trait AnyParameter: From<Parameter> {
    fn typed(keyword: &str, value: &str) -> Result<Option<Self>, ParameterError>;
    fn left_out(self) -> Self;
    fn not_sent(self) -> Self;
}

impl AnyParameter for MailParameter {
    fn typed(keyword: &str, value: &str) -> Result<Option<Self>, ParameterError> {
        Ok(Some(match keyword {
            "RET" => value.parse::<Return>()?.into(),
            "ENVID" => value.parse::<EnvelopeId>()?.into(),
            "BY" => value.parse::<DeliverBy>()?.into(),
            "HOLDFOR" | "HOLDUNTIL" => {
                let hold = format!("{keyword}={value}").parse::<FutureRelease>()?;
                hold.into()
            }
            "MT-PRIORITY" => value.parse::<MtPriority>()?.into(),
            "REQUIRETLS" => RequireTls.into(),
            _ => return Ok(None),
        }))
    }

    fn left_out(self) -> Self {
        self.optional()
    }

    fn not_sent(self) -> Self {
        self.required()
    }
}

impl AnyParameter for RcptParameter {
    fn typed(keyword: &str, value: &str) -> Result<Option<Self>, ParameterError> {
        Ok(Some(match keyword {
            "NOTIFY" => value.parse::<Notify>()?.into(),
            "ORCPT" => value.parse::<OriginalRecipient>()?.into(),
            _ => return Ok(None),
        }))
    }

    fn left_out(self) -> Self {
        self.optional()
    }

    fn not_sent(self) -> Self {
        self.required()
    }
}

fn stream_facts(declared: &[Word]) -> Result<StreamFacts, String> {
    let mut facts = StreamFacts::default();
    let mut words = declared.iter().map(Word::text);
    while let Some(word) = words.next() {
        facts = match word.as_str() {
            "8bit" => facts.eight_bit(true),
            "utf8" => facts.smtp_utf8(true),
            "binary" => facts.binary(true),
            "size" => facts.size_hint(number(&words.next().unwrap_or_default())?),
            _ => return Err(format!("a stream is not {word}")),
        };
    }
    Ok(facts)
}

/// The text of all `config:` lines so far.
struct ConfigText {
    security: Security,
    settings: Vec<Vec<Word>>,
}

impl Default for ConfigText {
    fn default() -> Self {
        Self {
            security: Security::None,
            settings: Vec::new(),
        }
    }
}

impl ConfigText {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let words = words(text)?;
        for setting in words.split(|word| *word == Word::Comma) {
            let mut texts = setting.iter().map(Word::text);
            if texts.next().as_deref() == Some("security") {
                self.security = match texts.next().as_deref() {
                    Some("none") => Security::None,
                    Some("opportunistic") => Security::Opportunistic,
                    Some("required") => Security::Required,
                    Some("wrapper") => Security::Wrapper,
                    _ => return Err("security none|opportunistic|required|wrapper".into()),
                };
            } else {
                // Errors are reported here, where the line is known.
                apply(&mut Settings::new(self.security), setting)?;
                self.settings.push(setting.to_vec());
            }
        }
        Ok(())
    }

    fn finish(self) -> Settings {
        let mut settings = Settings::new(self.security);
        for setting in &self.settings {
            apply(&mut settings, setting).expect("was applied before");
        }
        settings.config = settings
            .config
            .limits(settings.limits.clone())
            .timeouts(settings.timeouts.clone())
            .trace(true);
        settings
    }
}

struct Settings {
    config: ClientConfig,
    credentials: Vec<Credentials>,
    nonce: Vec<u8>,
    local_address: Option<IpAddr>,
    limits: Limits,
    timeouts: Timeouts,
}

impl Settings {
    fn new(security: Security) -> Self {
        Self {
            config: ClientConfig::without_hello_name(security).pipelining(Pipelining::Bold),
            credentials: Vec::new(),
            nonce: Vec::new(),
            local_address: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

fn apply(settings: &mut Settings, setting: &[Word]) -> Result<(), String> {
    let texts: Vec<String> = setting.iter().map(Word::text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let config = settings.config.clone();
    settings.config = match texts[..] {
        ["pipelining", way] => config.pipelining(pipelining(way)?),
        ["chunking", switch] => config.chunking(on(switch)?),
        ["lmtp"] => config.protocol(Protocol::Lmtp),
        ["unnamed", "at", address] => {
            let address = address.parse().map_err(|e| format!("{address}: {e}"))?;
            settings.local_address = Some(address);
            config
        }
        ["hello", name] => config.hello_name(name.parse().map_err(|e| format!("{e}"))?),
        ["credentials", user, secret] => {
            let credentials = Credentials::new(user, secret);
            settings.credentials.push(credentials.clone());
            config.credentials(credentials)
        }
        ["log", "in", "with", ref words @ ..] => {
            let credentials = credentials(words).ok_or("log in with KIND …")?;
            settings.credentials.push(credentials.clone());
            config.credentials(credentials)
        }
        ["late-credentials"] => config.late_credentials(true),
        ["nonce", base64] => {
            let octets = STANDARD.decode(base64);
            settings.nonce = octets.map_err(|e| format!("{base64}: {e}"))?;
            config
        }
        ["channel-binding", "required"] => config.channel_binding(ChannelBindingPolicy::Required),
        ["eight-bit-anyway"] => config.allow_8bit_without_8bitmime(true),
        ["try-next-mechanism"] => config.try_next_mechanism(true),
        ["mechanisms", ref names @ ..] => {
            let mut mechanisms: Vec<Mechanism> = Vec::new();
            for name in names {
                mechanisms.push(name.parse().map_err(|e| format!("{name}: {e}"))?);
            }
            config.mechanisms(mechanisms)
        }
        ["allow-plaintext-auth"] => config.allow_plaintext_auth(true),
        ["line-ends", "refuse"] => config.line_ends(LineEnds::Refuse),
        ["max-line", octets] => config.max_line_length(Some(number(octets)?)),
        ["timeout", stage, after] => {
            set_timeout(&mut settings.timeouts, stage, duration(after)?)?;
            config
        }
        ["limit", what, most] => {
            set_limit(&mut settings.limits, what, number(most)?)?;
            config
        }
        _ => return Err(format!("no such setting: {}", texts.join(" "))),
    };
    Ok(())
}

fn set_timeout(timeouts: &mut Timeouts, stage: &str, after: Duration) -> Result<(), String> {
    let stage = match stage {
        "tls" => &mut timeouts.tls,
        "greeting" => &mut timeouts.greeting,
        "ehlo" => &mut timeouts.ehlo,
        "starttls" => &mut timeouts.starttls,
        "auth" => &mut timeouts.auth,
        "mail" => &mut timeouts.mail,
        "rcpt" => &mut timeouts.rcpt,
        "data" => &mut timeouts.data,
        "body" => &mut timeouts.body,
        "end-of-data" => &mut timeouts.end_of_data,
        "quit" => &mut timeouts.quit,
        "after-idle" => &mut timeouts.after_idle,
        "overall" => timeouts.overall.insert(after),
        _ => return Err(format!("no timeout for {stage}")),
    };
    *stage = after;
    Ok(())
}

fn set_limit(limits: &mut Limits, what: &str, most: usize) -> Result<(), String> {
    let limit = match what {
        "reply-line" => &mut limits.reply.line,
        "reply-lines" => &mut limits.reply.lines,
        "reply-bytes" => &mut limits.reply.bytes,
        "capabilities" => &mut limits.capabilities,
        "auth-rounds" => &mut limits.auth_rounds,
        "auth-iterations" => {
            limits.auth_iterations = u32::try_from(most).map_err(|e| e.to_string())?;
            return Ok(());
        }
        "outstanding" => &mut limits.outstanding_replies,
        "recipient-reply" => &mut limits.recipient_reply,
        "speculation" => {
            limits.speculation = most as u64;
            return Ok(());
        }
        _ => return Err(format!("no limit on {what}")),
    };
    *limit = most;
    Ok(())
}

fn pipelining(way: &str) -> Result<Pipelining, String> {
    let ways = [Pipelining::Off, Pipelining::Careful, Pipelining::Bold];
    let way = ways.into_iter().find(|known| known.as_str() == way);
    way.ok_or_else(|| "pipelining off, careful or bold".to_owned())
}

fn on(switch: &str) -> Result<bool, String> {
    match switch {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{switch} is neither on nor off")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let wrong = |_| format!("{text} is not a number");
    text.trim().parse().map_err(wrong)
}

/// Such as `1h2m3s` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, unit) = rest.split_at(digits);
        let amount: u64 = number(amount)?;
        let letters = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = unit.split_at(letters);
        total += match unit {
            "h" => Duration::from_secs(amount * 3_600),
            "m" => Duration::from_secs(amount * 60),
            "s" => Duration::from_secs(amount),
            "ms" => Duration::from_millis(amount),
            _ => return Err(format!("{text} is not a duration")),
        };
        rest = after;
    }
    Ok(total)
}

/// A line on the wire: with CRLF, unless a backslash is the last character.
fn wire_line(text: &str) -> Result<Vec<u8>, String> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    match text.strip_suffix('\\') {
        Some(partial) if !partial.ends_with('\\') => octets(partial),
        _ => {
            let mut line = octets(text)?;
            line.extend(b"\r\n");
            Ok(line)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(Vec<u8>),
    Comma,
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Quoted(octets) => String::from_utf8_lossy(octets).into_owned(),
            Self::Comma => ",".into(),
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&character) = characters.peek() {
        match character {
            ' ' => {
                characters.next();
            }
            ',' => {
                characters.next();
                words.push(Word::Comma);
            }
            '"' => {
                characters.next();
                let mut raw = String::new();
                loop {
                    match characters.next().ok_or("a quote is not closed")? {
                        '"' => break,
                        '\\' => {
                            raw.push('\\');
                            raw.extend(characters.next());
                        }
                        other => raw.push(other),
                    }
                }
                words.push(Word::Quoted(octets(&raw)?));
            }
            _ => {
                let mut word = String::new();
                while let Some(other) = characters.next_if(|other| !matches!(other, ' ' | ',')) {
                    word.push(other);
                }
                words.push(Word::Bare(word));
            }
        }
    }
    Ok(words)
}

/// Resolves the escapes of a text.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\' {
            escape(&mut characters, &mut octets)?;
        } else {
            octets.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(octets)
}

fn escape(characters: &mut Peekable<Chars<'_>>, into: &mut Vec<u8>) -> Result<(), String> {
    match characters.next() {
        Some('r') => into.push(b'\r'),
        Some('n') => into.push(b'\n'),
        Some('t') => into.push(b'\t'),
        Some('0') => into.push(0),
        Some(itself @ ('\\' | '"')) => into.push(itself as u8),
        Some('x') => {
            let digits: String = characters.by_ref().take(2).collect();
            let octet = u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits}"))?;
            into.push(octet);
        }
        Some('{') => {
            let inside: String = characters.by_ref().take_while(|c| *c != '}').collect();
            let (times, text) = inside.split_once('*').ok_or("\\{times*text}")?;
            into.extend(octets(text)?.repeat(number(times)?));
        }
        other => return Err(format!("no such escape: \\{}", other.unwrap_or(' '))),
    }
    Ok(())
}
