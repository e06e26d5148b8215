//! Concurrent sends that share connections.

use std::time::{Duration, Instant};

use postwire_tls::ServerTls;
use postwire_tls::proto::{Body, Pipelining};

use super::{envelope, url, within_patience};
use crate::Adapter;
use crate::server::{Embedded, config_with_all_extensions};

const SENDERS: usize = 20;
const MESSAGES: usize = 100;

/// Many senders over few connections: each message arrives once, each sender gets its own report,
/// and refusals concern nobody else.
pub(super) fn few_connections(adapter: &dyn Adapter) {
    for (pipelining, chunking, connections) in [
        (Pipelining::Off, true, 2),
        (Pipelining::Careful, true, 1),
        (Pipelining::Careful, true, 3),
        (Pipelining::Careful, false, 2),
        (Pipelining::Bold, true, 1),
        (Pipelining::Bold, false, 2),
    ] {
        let begun = Instant::now();
        let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
        let config = url("none", server.port())
            .client(|client| client.pipelining(pipelining).chunking(chunking))
            .pool(|pool| pool.max_connections(connections))
            .timeout(Some(Duration::from_secs(20)))
            .build()
            .unwrap();
        let is_refused = |number: usize| number % 10 == 3;
        let content = |number: usize| format!("Subject: {number}\r\n\r\nhello\r\n");
        let messages = (0..MESSAGES).map(|number| {
            let to = if is_refused(number) { "no" } else { "bob" };
            let envelope = envelope(&[&format!("{to}@r.example")]);
            (envelope, Body::from(content(number)))
        });
        let reports = adapter.send_concurrently(config, messages.collect(), SENDERS);
        assert_eq!(reports.len(), MESSAGES);
        for (number, report) in &reports {
            let wanted = !is_refused(*number);
            assert_eq!(report.is_accepted(), wanted, "{number}: {report}");
        }
        let seen = server.recording();
        assert!(seen.wire.len() <= connections, "{}", seen.wire.len());
        let mut stored: Vec<_> = seen.stored.iter().map(|s| s.content.clone()).collect();
        let sent = (0..MESSAGES).filter(|number| !is_refused(*number));
        let mut sent: Vec<_> = sent.map(content).collect();
        stored.sort();
        sent.sort();
        assert!(stored == sent, "{pipelining:?}, {connections} connections");
        within_patience(begun);
    }
}
