//! The web program: `web SERVER-URL SENDER [ADDRESS:PORT]`, until Ctrl-C or SIGTERM.

use postwire_examples::web::serve;
use postwire_tokio::Transport;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(sender)) = (arguments.next(), arguments.next()) else {
        return Err("usage: web SERVER-URL SENDER [ADDRESS:PORT]".into());
    };
    let address = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());
    let transport: Transport = Transport::from_url(url)?.build()?;
    // A mistake in the configuration shows at the start, not with the first message.
    transport.test_connection().await?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    for report in serve(listener, transport, sender.parse()?, stopped()).await? {
        eprintln!("a message whose request was cancelled: {report}");
    }
    Ok(())
}

/// Waits for Ctrl-C, or for the SIGTERM of a supervisor.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Without a signal the program could not be stopped otherwise either.
    let _ = tokio::signal::ctrl_c().await;
}
