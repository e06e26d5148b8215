//! Input cut anywhere gives the same result, in time that grows linearly.

use proptest::prelude::*;

use super::*;

/// Feeds `input` in pieces, accepts every question, and returns all output and events.
fn converse(config: &Arc<ServerConfig>, input: &[u8], piece: usize) -> (Vec<u8>, Vec<String>) {
    let mut server = Server::new(Arc::clone(config));
    let mut events = Vec::new();
    let mut output = Vec::new();
    for piece in input.chunks(piece) {
        server.handle_input(Instant::EPOCH, piece);
        while let Some(event) = server.poll_event() {
            events.push(describe(event));
            while server.is_awaiting_answer() {
                server.accept().expect("a question");
            }
        }
        let mut pending = server.output();
        let octets = pending.copy_to_bytes(pending.remaining());
        output.extend_from_slice(&octets);
    }
    (output, events)
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let fragments: &[&[u8]] = &[
        b"EHLO me\r\n",
        b"LHLO me\r\n",
        b"HELO me\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<> BODY=BINARYMIME\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b"BDAT 3\r\n",
        b"BDAT 4 LAST\r\n",
        b"BDAT x\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AUTH LOGIN\r\n",
        b"YQ==\r\n",
        b"RSET\r\n",
        b"STARTTLS\r\n",
        b"QUIT\r\n",
        b".\r\n",
        b"..x\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b".",
        b"a",
        b"\xff",
    ];
    prop_oneof![
        20 => prop::sample::select(fragments).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        fragments in prop::collection::vec(fragment(), 0..24),
        piece in 1..40_usize,
        lmtp in any::<bool>(),
    ) {
        let config = config()
            .protocol(if lmtp { Protocol::Lmtp } else { Protocol::Smtp })
            .starttls(true)
            .auth([Mechanism::PLAIN, Mechanism::LOGIN])
            .auth_in_plaintext(true)
            .data_without_recipients(true)
            .size(Some(12))
            .max_recipients(2)
            .max_line(32);
        let config = Arc::new(config);
        let envelope = if lmtp { "LHLO me\r\n" } else { "EHLO me\r\n" };
        let input = [envelope.as_bytes(), &fragments.concat()].concat();
        prop_assert_eq!(
            converse(&config, &input, piece),
            converse(&config, &input, usize::MAX)
        );
    }
}

#[test]
fn each_octet_is_processed_once() {
    let mut input = b"HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n".to_vec();
    input.extend(b"a line of text\r\n..\r\n".repeat(50_000));
    input.extend(b".\r\nNOOP ");
    input.resize(input.len() + 1_000_000, b'x');
    input.extend(b"\r\n");
    // With quadratic behaviour this test would take hours.
    let config = Arc::new(config().max_line(2_000_000));
    let bytewise = converse(&config, &input, 1);
    assert_eq!(bytewise.1.len(), 4);
    // Too long for a failure message.
    assert!(bytewise == converse(&config, &input, usize::MAX));
}
