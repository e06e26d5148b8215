//! TLS sessions that a transport's connections share.

use postwire_tls::ServerTls;
use postwire_transport::PoolConfig;

use super::{assert_accepted, bob, message, url};
use crate::Adapter;
use crate::certificates::{Authority, Flaw};
use crate::server::{Embedded, config_with_all_extensions};

/// The second connection of a transport resumes the TLS session of the first.
pub(super) fn further_connection(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for mode in ["required", "wrapper"] {
        let parameters = authority.server(Flaw::None);
        let tls = match mode {
            "wrapper" => ServerTls::Wrapper(parameters),
            _ => ServerTls::StartTls(parameters),
        };
        let server = Embedded::start(config_with_all_extensions(), tls);
        let config = url(mode, server.port())
            .tls_parameters(|tls| tls.add_root_certificate(authority.certificate()))
            .pool_config(PoolConfig::default().max_messages(1))
            .build()
            .unwrap();
        let reports = adapter.send_twice(config, &bob(), message().into(), &|| {});
        reports.iter().for_each(assert_accepted);
        let seen = server.recording();
        assert_eq!(seen.wire.len(), 2, "connections");
        assert_eq!(seen.resumed, [false, true], "{mode}");
    }
}
