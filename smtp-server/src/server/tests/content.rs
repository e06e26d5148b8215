//! DATA and BDAT.

use super::*;

const DATA: &str = "
    C: DATA
    Q: data
    A: yes
    S: 354 end data with <CRLF>.<CRLF>
";

#[test]
fn data_ends_only_at_its_final_dot() {
    play(
        config(),
        &[
            HELLO,
            ENVELOPE,
            DATA,
            "
            c: ..a\\r\\nb.\\r\\n...\\r\\n.\\r\\nRSET\\r\\n
            Q: message <a@b.example> <c@d.example> .a\\r\\nb.\\r\\n..\\r\\n
            A: yes
            S: 250 2.0.0 message accepted
            S: 250 2.0.0 ok
            ",
        ],
    );
}

#[test]
fn smuggled_line_ends_are_content_and_refused() {
    for (end, named) in [
        ("\\n.\\n", "line feed"),
        ("\\n.\\r\\n", "line feed"),
        ("\\r\\n.\\n", "line feed"),
        ("\\r.\\r\\n", "carriage return"),
        ("\\r\\n.\\r", "carriage return"),
        ("\\r\\n.\\r\\r\\n", "carriage return"),
        ("\\r.\\n", "line feed"),
    ] {
        play(
            config(),
            &[
                HELLO,
                ENVELOPE,
                DATA,
                &format!("c: x{end}MAIL FROM:<evil@b>\\r\\n.\\r\\nNOOP\\r\\n"),
                &format!("S: 550 5.6.11 bare {named} refused\nS: 250 2.0.0 ok"),
            ],
        );
    }
}

#[test]
fn a_surplus_carriage_return_before_the_end_is_refused_there() {
    play(
        config(),
        &[
            HELLO,
            ENVELOPE,
            DATA,
            "c: x\\r\\r\\n.\\r\\nNOOP\\r\\n",
            "S: 550 5.6.11 bare carriage return refused\nS: 250 2.0.0 ok",
        ],
    );
}

#[test]
fn too_much_content_is_refused_at_its_end() {
    play(
        config().size(Some(10)),
        &[
            HELLO,
            ENVELOPE,
            DATA,
            "
            c: 12345678\\r\\n.\\r\\n
            Q: message <a@b.example> <c@d.example> 12345678\\r\\n
            A: yes
            S: 250 2.0.0 message accepted
            ",
            ENVELOPE,
            DATA,
            "
            c: 123456789\\r\\n.\\r\\n
            S: 552 5.3.4 message too large
            C: NOOP
            S: 250 2.0.0 ok
            ",
        ],
    );
}

#[test]
fn chunks_are_joined() {
    play(
        config(),
        &[
            EHLO,
            ENVELOPE,
            "
            c: BDAT 5\\r\\n.\\r\\n.\\rBDAT 0\\r\\nbdat 3 last\\r\\n\\nXXNOOP\\r\\n
            S: 250 2.0.0 chunk received
            S: 250 2.0.0 chunk received
            Q: message <a@b.example> <c@d.example> .\\r\\n.\\r\\nXX
            A: yes
            S: 250 2.0.0 message accepted
            S: 250 2.0.0 ok
            ",
            ENVELOPE,
            "
            C: BDAT 0 LAST
            Q: message <a@b.example> <c@d.example> 
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn binary_content_in_chunks_is_unchanged() {
    let binary = ENVELOPE.replace("<a@b.example>\n", "<a@b.example> BODY=BINARYMIME\n");
    play(
        config(),
        &[
            EHLO,
            &binary,
            "
            C: DATA
            S: 503 5.5.1 BINARYMIME needs BDAT
            c: BDAT 4 LAST\\r\\n\\n\\0\\r\\xff
            Q: message <a@b.example> <c@d.example> \\n\\x00\\r\\xff
            A: yes
            S: 250 2.0.0 message accepted
            ",
            ENVELOPE,
            "
            c: BDAT 2 LAST\\r\\n\\n\\n
            S: 550 5.6.11 bare line feed refused
            ",
        ],
    );
}

#[test]
fn data_and_bdat_do_not_mix() {
    play(
        config(),
        &[
            EHLO,
            ENVELOPE,
            "
            c: BDAT 1\\r\\nx
            S: 250 2.0.0 chunk received
            C: DATA
            S: 503 5.5.1 DATA cannot follow BDAT
            C: RCPT TO:<e@f>
            S: 503 5.5.1 DATA cannot follow BDAT
            C: BDAT 0 LAST
            Q: message <a@b.example> <c@d.example> x
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn octets_of_a_refused_chunk_are_not_commands() {
    play(
        config().size(Some(10)),
        &[
            &EHLO.replace("52428800", "10"),
            "
            c: BDAT 6 LAST\\r\\nQUIT\\r\\n
            S: 503 5.5.1 MAIL first
            C: MAIL FROM:<a@b>
            Q: mail <a@b>
            A: yes
            S: 250 2.1.0 sender ok
            c: BDAT 6\\r\\nQUIT\\r\\nBDAT 6 LAST\\r\\nQUIT\\r\\n
            S: 503 5.5.1 no valid recipients
            S: 503 5.5.1 an earlier BDAT failed
            ",
            ENVELOPE,
            "
            c: BDAT 11\\r\\n12345678901
            S: 552 5.3.4 message too large
            c: BDAT 1\\r\\nx
            S: 503 5.5.1 an earlier BDAT failed
            C: DATA
            S: 503 5.5.1 an earlier BDAT failed
            C: MAIL FROM:<a@b>
            S: 503 5.5.1 a transaction is open
            C: RSET
            S: 250 2.0.0 ok
            ",
            ENVELOPE,
            "
            c: BDAT 11 LAST\\r\\n12345678901
            S: 552 5.3.4 message too large
            ",
            ENVELOPE,
        ],
    );
    play(
        config().chunking(false),
        &[
            &EHLO
                .replace("S: 250-CHUNKING\n", "")
                .replace("S: 250-BINARYMIME\n", ""),
            "
            c: BDAT 6 LAST\\r\\nQUIT\\r\\n
            S: 502 5.5.1 command not implemented
            ",
        ],
    );
}

#[test]
fn a_chunk_of_unknown_size_ends_the_session() {
    play(
        config(),
        &[
            EHLO,
            "
            c: BDAT x\\r\\nNOOP\\r\\n
            S: 501 5.5.4 invalid chunk size, closing
            Q: closed: a BDAT command with an invalid size
            ",
        ],
    );
}

#[test]
fn a_huge_chunk_takes_no_memory() {
    let mut player = Player::new(Server::new(Arc::new(config().size(Some(10)))), usize::MAX);
    player.play(&[&EHLO.replace("52428800", "10"), ENVELOPE]);
    player.input(b"BDAT 18446744073709551615 LAST\r\n");
    for _ in 0..100 {
        player.input(&[b'x'; 10_000]);
    }
    assert!(player.server.waiting.as_slice().is_empty());
    player.play(&[""]);
}
