//! One client and its messages, before anything happens: a dialect, a configuration, random
//! messages, and the pieces of those that are streams.

use bytes::Bytes;
use postwire_proto::{
    Body, BodySource, ClientConfig, Credentials, HelloName, Mechanism, Pipelining, Security,
    StreamFacts,
};
use postwire_reference::{Bdat, Dialect, Protocol};

use crate::choices::Choices;
use crate::messages::{Message, message};

/// What one client is about to send to one server.
#[derive(Debug)]
pub struct Scene {
    /// How the server behaves.
    pub dialect: Dialect,
    /// How the client sends.
    pub pipelining: Pipelining,
    /// The configuration of the client.
    pub config: ClientConfig,
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// Which messages are streams, and in pieces of how many octets.
    pub streamed: Vec<Option<usize>>,
    /// How much of each stream was passed on.
    passed: Vec<usize>,
}

impl Scene {
    /// Random messages of a random client to a server of this dialect.
    pub fn new(choices: &mut Choices, mut dialect: Dialect, security: Security) -> Self {
        if choices.once_in(8) {
            // By chance alone, few servers offer BDAT without reading what it announces.
            dialect.keywords.chunking = true;
            dialect.bdat = choices.pick(&[Bdat::Unknown, Bdat::Refused, Bdat::Accepted]);
            dialect.bdat_refusal = choices.pick(&[500, 502, 503, 554, 451]);
            dialect.unread_chunks = true;
        }
        // What is said in plaintext is an offence then.
        dialect.tls_demanded = security == Security::Required;
        let pipelining = pipelining(choices);
        let mut config = ClientConfig::new(HelloName::localhost(), security)
            .pipelining(pipelining)
            .protocol(protocol(dialect.protocol))
            .chunking(!choices.once_in(4));
        if choices.once_in(4) {
            let password = choices.pick(&[dialect.password.as_str(), "wrong"]);
            config = config
                .credentials(Credentials::new(dialect.user.clone(), password))
                .mechanisms(vec![Mechanism::PLAIN, Mechanism::LOGIN])
                .allow_plaintext_auth(security == Security::None);
            dialect.auth_demanded = choices.once_in(2);
        }
        let count = 1 + choices.below(6);
        let messages: Vec<_> = (0..count).map(|id| message(id, choices)).collect();
        let streamed = messages
            .iter()
            .map(|_| choices.once_in(8).then(|| 1 + choices.below(64)))
            .collect();
        Self {
            dialect,
            pipelining,
            config,
            passed: vec![0; messages.len()],
            messages,
            streamed,
        }
    }

    /// The content of this message, as it is given to the client.
    pub fn body(&self, id: usize) -> BodySource {
        let content = &self.messages[id].content;
        match self.streamed[id] {
            Some(_) => BodySource::Stream(StreamFacts::default().eight_bit(!content.is_ascii())),
            None => Body::from(content.clone()).into(),
        }
    }

    /// The next piece of a stream; `None` at its end.
    pub fn next_piece(&mut self, id: usize) -> Option<Bytes> {
        let (content, passed) = (&self.messages[id].content, &mut self.passed[id]);
        let piece = self.streamed[id].unwrap_or(1).min(content.len() - *passed);
        let chunk = content.slice(*passed..*passed + piece);
        *passed += piece;
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// How a client sends: mostly carefully.
pub fn pipelining(choices: &mut Choices) -> Pipelining {
    choices.pick(&[
        Pipelining::Careful,
        Pipelining::Careful,
        Pipelining::Off,
        Pipelining::Bold,
    ])
}

/// The protocol in the client's words.
pub fn protocol(protocol: Protocol) -> postwire_proto::Protocol {
    match protocol {
        Protocol::Smtp => postwire_proto::Protocol::Smtp,
        Protocol::Lmtp => postwire_proto::Protocol::Lmtp,
    }
}

/// In what pieces octets move.
pub fn cuts(choices: &mut Choices) -> Vec<usize> {
    match choices.below(4) {
        0 => vec![1 + choices.below(3)],
        1 => (0..5).map(|_| 1 + choices.below(200)).collect(),
        _ => vec![usize::MAX],
    }
}
