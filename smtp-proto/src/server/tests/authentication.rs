//! AUTH (RFC 4954).

use super::*;

fn offering(mechanisms: &[Mechanism]) -> ServerConfig {
    config()
        .auth(mechanisms.iter().copied())
        .auth_in_plaintext(true)
}

fn ehlo(mechanisms: &str) -> String {
    EHLO.replace(
        "S: 250 SIZE 52428800",
        &format!("S: 250-SIZE 52428800\n S: 250 AUTH {mechanisms}"),
    )
}

#[test]
fn plain_with_and_without_initial_response() {
    play(
        offering(&[Mechanism::PLAIN]).require_auth(true),
        &[
            &ehlo("PLAIN"),
            "
            C: MAIL FROM:<a@b.example>
            S: 530 5.7.0 authentication required
            C: AUTH PLAIN AGphbmUAcHc=
            Q: auth PLAIN jane pw
            A: 535 5.7.8 no
            S: 535 5.7.8 no
            C: auth plain
            S: 334 
            C: AGphbmUAcHc=
            Q: auth PLAIN jane pw
            A: yes
            S: 235 2.7.0 authentication successful
            C: AUTH PLAIN AGphbmUAcHc=
            S: 503 5.5.1 authenticated already
            C: RSET
            S: 250 2.0.0 ok
            ",
            ENVELOPE,
            "
            C: BDAT 0 LAST
            Q: message <a@b.example> <c@d.example>  by jane
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn login_with_and_without_initial_response() {
    play(
        offering(&[Mechanism::LOGIN]),
        &[
            &ehlo("LOGIN"),
            "
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: amFuZQ==
            S: 334 UGFzc3dvcmQ6
            C: cHc=
            Q: auth LOGIN jane pw
            A: 454 4.7.0 later
            S: 454 4.7.0 later
            C: AUTH LOGIN amFuZQ==
            S: 334 UGFzc3dvcmQ6
            C: cHc=
            Q: auth LOGIN jane pw
            A: yes
            S: 235 2.7.0 authentication successful
            ",
        ],
    );
}

#[test]
fn xoauth2_says_why_it_fails() {
    play(
        offering(&[Mechanism::XOAUTH2]),
        &[
            &ehlo("XOAUTH2"),
            "
            C: AUTH XOAUTH2
            S: 334 
            C: dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQBAQ==
            Q: auth XOAUTH2 jane t
            A: 535 5.7.8 expired
            S: 334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=
            c: \\r\\n
            S: 535 5.7.8 expired
            C: AUTH XOAUTH2 dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQBAQ==
            Q: auth XOAUTH2 jane t
            A: yes
            S: 235 2.7.0 authentication successful
            ",
        ],
    );
}

#[test]
fn exchanges_can_be_cancelled_and_fail() {
    let long = format!("C: {}", "A".repeat(12_289));
    play(
        offering(&[Mechanism::PLAIN, Mechanism::LOGIN]),
        &[
            &ehlo("PLAIN LOGIN"),
            "
            C: AUTH PLAIN
            S: 334 
            C: *
            S: 501 5.7.0 authentication cancelled
            C: AUTH PLAIN !
            S: 501 5.5.2 invalid response
            C: AUTH PLAIN =
            S: 501 5.5.2 invalid response
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: amFuZQ
            S: 501 5.5.2 invalid response
            C: AUTH PLAIN cm9vdABqYW5lAHB3
            S: 535 5.7.8 acting for another user is not supported
            C: AUTH NTLM
            S: 504 5.5.4 mechanism not offered
            C: AUTH XOAUTH2
            S: 504 5.5.4 mechanism not offered
            C: AUTH
            S: 501 5.5.4 syntax error in the arguments
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            ",
            &long,
            "
            S: 500 5.5.6 authentication exchange line is too long
            C: NOOP
            S: 250 2.0.0 ok
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            c: amFu\\nZQ==\\r\\n
            S: 500 5.5.2 bare line feed refused, lines end in CRLF
            Q: closed: a bare line feed in a command
            ",
        ],
    );
}

#[test]
fn passwords_stay_out_of_plaintext() {
    play(
        config().auth([Mechanism::PLAIN]),
        &[
            EHLO,
            "
            C: AUTH PLAIN AGphbmUAcHc=
            S: 538 5.7.11 encryption required
            C: AUTH LOGIN
            S: 504 5.5.4 mechanism not offered
            ",
        ],
    );
    let tls = || TlsInfo::new("TLSv1.3", "x");
    play_on(
        || Server::new_tls(Arc::new(config().auth([Mechanism::PLAIN])), tls()),
        &[&ehlo("PLAIN")],
    );
    play(
        config(),
        &[
            EHLO,
            "
            C: AUTH PLAIN
            S: 502 5.5.1 command not implemented
            ",
        ],
    );
}
