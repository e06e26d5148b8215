//! Commands that are not part of sending a message, with the session of each adapter.

use postwire_tls::ServerTls;
use postwire_tls::proto::{Command, ErrorKind, Stage, StreamFacts};

use super::{assert_accepted, bob, config_with_all_extensions, error, message, url};
use crate::Adapter;
use crate::server::Embedded;

pub(super) fn asked(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = || url("none", server.port()).build().unwrap();
    let commands = vec![
        Command::noop(),
        Command::vrfy("bob").unwrap(),
        Command::expn("staff").unwrap(),
        Command::help(),
        Command::raw("XFOO bar").unwrap(),
        Command::etrn("example.org").unwrap(),
    ];
    let messages = vec![(bob(), message().into()); 2];
    let (reports, answers) = adapter.ask(config(), messages, commands);
    for report in &reports {
        assert_accepted(report);
    }
    assert_eq!(reports.len(), 2);
    let codes: Vec<_> = answers
        .iter()
        .map_while(|answer| Some(answer.as_ref().ok()?.code().get()))
        .collect();
    assert_eq!(codes, [250, 252, 502, 214, 500]);
    let refused = answers[5].as_ref().unwrap_err();
    assert!(
        matches!(
            (refused.stage(), refused.kind()),
            (Stage::Command, ErrorKind::ExtensionNotOffered("ETRN"))
        ),
        "{refused}"
    );
    assert_eq!(server.recording().stored.len(), 2);
}

/// The content of a stream cannot be given while the caller waits for a reply.
pub(super) fn behind_a_stream(adapter: &dyn Adapter) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let config = url("none", server.port()).build().unwrap();
    let messages = vec![(bob(), StreamFacts::default().into())];
    let (reports, answers) = adapter.ask(config, messages, vec![Command::noop()]);
    assert!(
        matches!(error(&reports[0]), (Stage::Body, ErrorKind::Source(_))),
        "{}",
        reports[0]
    );
    assert!(answers[0].is_err());
    assert!(server.recording().stored.is_empty());
}
