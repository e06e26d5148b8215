//! The address that an option names: a host and a port.

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::arguments::UsageError;
use crate::print::text::SafeText;

/// Resolves `HOST:PORT`. Of several addresses the first one counts.
pub(crate) fn resolve(option: &str, given: &str, example: &str) -> Result<SocketAddr, UsageError> {
    let port = given.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = port.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = port else {
        let why = format_args!("must be an address and a port, such as {example}");
        return Err(UsageError::new(option, why));
    };
    // An IPv6 address has brackets, which are no part of a name.
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let addresses = (bare.unwrap_or(host), port).to_socket_addrs();
    let host = SafeText(host);
    let mut addresses = addresses
        .map_err(|error| UsageError::new(option, format_args!("cannot resolve {host}: {error}")))?;
    addresses
        .next()
        .ok_or_else(|| UsageError::new(option, format_args!("{host} has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_needed() {
        let resolve = |given| resolve("--listen", given, "127.0.0.1:1");
        for (given, address) in [
            ("127.0.0.1:25", "127.0.0.1:25"),
            ("[::1]:0", "[::1]:0"),
            ("::1:25", "[::1]:25"),
        ] {
            assert_eq!(resolve(given).unwrap().to_string(), address);
        }
        for given in ["", "nowhere", ":25", "127.0.0.1:", "127.0.0.1:70000", "::1"] {
            let error = resolve(given).unwrap_err().to_string();
            let said = "--listen: must be an address and a port, such as 127.0.0.1:1";
            // The last one could be either.
            assert!(error == said || given == "::1", "{given}: {error}");
        }
        let error = resolve("no.such.host.invalid:25").unwrap_err().to_string();
        let said = "--listen: cannot resolve no.such.host.invalid: ";
        assert!(error.starts_with(said), "{error}");
    }
}
