//! What the library reports about connections and sessions, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt, registry};

/// Prints the events of the library from now on, if the user asked for that.
pub(crate) fn begin(is_verbose: bool) {
    if !is_verbose {
        return;
    }
    let layer = fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let ours = Targets::new().with_target("postwire", LevelFilter::DEBUG);
    // It fails only if there is one already, which would print the same.
    let _ = tracing::subscriber::set_global_default(registry().with(layer.with_filter(ours)));
}
