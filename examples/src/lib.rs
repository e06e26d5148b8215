//! Programs that embed postwire.
//!
//! * [`sign_up`]: a small application that sends mail, and its tests without a network;
//! * [`web`]: a web program on axum with one transport for all requests, and its shutdown;
//! * [`completion`]: the whole transport on `compio`, by completions, as one more adapter;
//! * `bin/mio.rs`: your own event loop, 1,000 sessions in one thread;
//! * `bin/io_uring.rs`: completion I/O with `compio`, over STARTTLS;
//! * `bin/smoltcp.rs`: the TCP/IP stack of embedded boards, with buffers of one kilobyte;
//! * `bin/by_hand.rs`: the core alone, every byte asserted;
//! * `bin/mail_builder.rs`: a message from `mail-builder`, or from `lettre` through `postwire-lettre`;
//! * `bin/socks5.rs`: through a proxy, over your own stream.
//!
//! The folder `dkim` is a workspace of its own, since signing depends on a crate with an advisory: a
//! message with a DKIM signature, verified where it arrives.
//!
//! The folder `openssl` is a workspace of its own, since it needs the headers of OpenSSL: OpenSSL
//! as the TLS below the core, with a login bound to the TLS session.

pub mod completion;
pub mod sign_up;
pub mod web;
