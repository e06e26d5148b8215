//! Measurements by counting: allocations, processor time, memory, system calls.
//!
//! Knows where the system provides the numbers. The delay proxy counts flights, and the sink
//! counts octets and messages, in the same way for all clients.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use stats_alloc::{Region, Stats};

use crate::{ALLOCATOR, Failure};

/// Starts to count the allocations of this process.
pub(crate) fn allocations() -> Region<'static, std::alloc::System> {
    Region::new(ALLOCATOR)
}

/// Octets that are allocated and not freed.
pub(crate) fn held(stats: &Stats) -> f64 {
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

/// The number of allocations.
pub(crate) fn requests(stats: &Stats) -> f64 {
    (stats.allocations + stats.reallocations) as f64
}

/// Processor time of the living threads of this process in nanoseconds; 0 if the system does
/// not provide it.
///
/// The kernel updates the time when a thread gives up its processor, so this function yields.
pub(crate) fn processor_time() -> u64 {
    thread::sleep(Duration::from_micros(50));
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// Processor time of whole processes in microseconds, of threads that have ended as well: of this
/// process, or of its children that have ended and were waited for.
pub(crate) fn processor_time_of(who: UsageWho) -> Result<f64, Failure> {
    let usage = getrusage(who)?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times
        .map(|time| time.num_microseconds() as f64)
        .iter()
        .sum())
}

/// Raises the limit of open files of this process, and of those that it starts, as far as the
/// system allows. Returns the limit.
pub(crate) fn raise_open_files() -> Result<u64, Failure> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}

/// The peak resident memory of this process in KiB.
pub(crate) fn peak_memory() -> Option<f64> {
    memory("VmHWM:")
}

/// The resident memory of this process in KiB.
pub(crate) fn resident_memory() -> Option<f64> {
    memory("VmRSS:")
}

fn memory(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs this program with these arguments under callgrind, with these options, and returns what
/// callgrind says; `None` without valgrind.
pub(crate) fn callgrind(options: &[&str], arguments: &[&str]) -> Result<Option<String>, Failure> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .args(options)
        .arg(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{arguments:?}: valgrind failed: {text}").into());
    }
    Ok(Some(text.into_owned()))
}

/// The number of system calls of a command, including its threads; `None` without `strace`.
pub(crate) fn system_calls(command: &[String]) -> Result<Option<f64>, Failure> {
    let path = std::env::temp_dir().join(format!("postwire-bench-{}.strace", std::process::id()));
    let traced = Command::new("strace")
        .args(["-c", "-f", "-q", "-o"])
        .arg(&path)
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let Ok(status) = traced else {
        return Ok(None);
    };
    let table = fs::read_to_string(&path);
    let _ = fs::remove_file(&path);
    if !status.success() {
        return Err("the traced process failed".into());
    }
    let table = table?;
    let total = table.lines().rev().find(|line| line.ends_with("total"));
    let calls = total.and_then(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, [errors], "total"; older versions omit
        // usecs/call.
        let calls = if words.len() >= 5 && words[2].parse::<f64>().is_ok() {
            3
        } else {
            2
        };
        words.get(calls)?.parse().ok()
    });
    Ok(calls)
}
