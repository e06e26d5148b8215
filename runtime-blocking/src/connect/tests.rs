use postwire_transport::TransportBuilder;
use postwire_transport::proto::ErrorKind;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn addresses() -> Vec<SocketAddr> {
    let texts = ["[2001:db8::1]:25", "192.0.2.1:25", "192.0.2.2:25"];
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn race_them(
    limit: Duration,
    attempt: impl Fn(SocketAddr, Duration) -> io::Result<SocketAddr> + Clone + Send + 'static,
) -> Result<SocketAddr, Error> {
    let builder = TransportBuilder::<TransportConfig>::builder_dangerous("mail.example");
    let config = builder.addresses(addresses()).build().unwrap();
    let no_path = |_: &Path, _| Err(io::ErrorKind::Unsupported.into());
    let dial = &mut Dial::new(&config);
    run(dial, limit, resolve, attempt, no_path)
}

/// An address that swallows packets.
fn swallows(left: Duration) -> io::Result<SocketAddr> {
    thread::sleep(left);
    Err(io::ErrorKind::TimedOut.into())
}

#[test]
fn an_address_that_swallows_packets_holds_up_nobody() {
    let won = race_them(LONG, |address: SocketAddr, left| {
        if address.is_ipv6() {
            swallows(left)
        } else {
            Ok(address)
        }
    });
    assert_eq!(won.unwrap(), addresses()[1]);
}

#[test]
fn an_address_that_fails_hands_on_at_once() {
    let won = race_them(LONG, |address, _| {
        if address == addresses()[2] {
            Ok(address)
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    });
    assert_eq!(won.unwrap(), addresses()[2]);
}

#[test]
fn where_all_fail_each_is_named_with_its_reason() {
    let refuses = |_, _| Err(io::ErrorKind::ConnectionRefused.into());
    let error = race_them(LONG, refuses).unwrap_err();
    for address in addresses() {
        let reason = format!("{address}: connection refused");
        assert!(error.to_string().contains(&reason), "{error}");
    }
}

#[test]
fn where_nobody_answers_the_time_is_up() {
    let error = race_them(2 * ATTEMPT_DELAY, |_, _| swallows(LONG)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
}

#[test]
fn a_time_without_end_is_no_fault() {
    assert!(race_them(Duration::MAX, |address, _| Ok(address)).is_ok());
}
