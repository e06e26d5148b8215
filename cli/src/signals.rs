//! The signals that ask the command to end: Ctrl-C, a closed terminal, `kill`.

use std::io;

/// Calls `act` in another thread at each of these signals, except for those that the command was
/// started to ignore, as `nohup` does and a shell script for its jobs in the background.
#[cfg(unix)]
pub(crate) fn on_end(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let ignored = ignored();
    let is_ignored = |signal: &i32| ignored >> (signal - 1) & 1 == 1;
    let heeded = [SIGHUP, SIGINT, SIGTERM].into_iter();
    let heeded = heeded.filter(|signal| !is_ignored(signal));
    let mut signals = signal_hook::iterator::Signals::new(heeded)?;
    std::thread::Builder::new().spawn(move || signals.forever().for_each(|_| act()))?;
    Ok(())
}

/// The signals that are ignored, a bit each. Only Linux tells without `unsafe`.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

/// Calls `act` in another thread at each Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn on_end(act: impl FnMut() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(act).map_err(io::Error::other)
}
