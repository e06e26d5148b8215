//! Recipients beyond the limits of one session go over other sessions (LIMITS, RFC 9422).

use postwire_tls::ServerTls;
use postwire_tls::proto::{RecipientStatus, Recipients};

use super::{assert_accepted, bob, config_with_all_extensions, envelope, message, url};
use crate::Adapter;
use crate::server::Embedded;

pub(super) fn domains(adapter: &dyn Adapter) {
    let recipients = [
        "a@one.example",
        "b@two.example",
        "c@three.example",
        "d@ONE.example",
        "no@three.example",
        "e@four.example",
        "f@five.example",
    ];
    for chunking in [true, false] {
        let limits = "LIMITS RCPTDOMAINMAX=2 RCPTMAX=2 MAILMAX=3";
        let server = Embedded::start(
            config_with_all_extensions().capability(limits),
            ServerTls::None,
        );
        let builder = url("none", server.port()).client(|client| client.chunking(chunking));
        let many = envelope(&recipients);
        let all = many.clone().with_recipients(Recipients::All);
        let messages = [bob(), many.clone(), bob(), all, many.clone()];
        let messages = messages.map(|envelope| (envelope, message().into()));
        let reports = adapter.send_all(builder.clone().build().unwrap(), messages.to_vec());
        assert_accepted(&reports[0]);
        assert_accepted(&reports[2]);
        assert!(!reports[3].is_accepted(), "{}", reports[3]);
        let alone = adapter.send(builder.build().unwrap(), &many, message().into());
        for report in [&reports[1], &reports[4], &alone] {
            assert!(report.is_partial(), "{report}");
            for (recipient, address) in report.recipients().iter().zip(recipients) {
                assert_eq!(recipient.address().as_str(), address);
                let expected = match address {
                    "no@three.example" => RecipientStatus::Refused,
                    _ => RecipientStatus::Accepted,
                };
                assert_eq!(recipient.status(), expected, "{address}: {report}");
            }
        }
        // Each recipient has each message exactly once.
        let stored = server.recording().stored;
        let mut served: Vec<String> = stored
            .iter()
            .flat_map(|stored| stored.recipients.iter().map(ToString::to_string))
            .collect();
        served.sort_unstable();
        let mut expected: Vec<&str> = recipients.repeat(3);
        expected.retain(|address| !address.starts_with("no@"));
        expected.extend(["bob@recipient.example"; 2]);
        expected.sort_unstable();
        assert_eq!(served, expected);
    }
}
