//! The whole run: each case in a child process, then the pages.
//!
//! Knows processes, time limits and the folder of the results. Must never know what a case
//! measures.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::resource::UsageWho;
use serde::{Deserialize, Serialize};

use crate::cases::{ALL, Case};
use crate::clients::{Contender, Crowd, Senders, Stage};
use crate::job::{Mail, Mode, Target};
use crate::lab::{Lab, check};
use crate::report::Section;
use crate::{Failure, claims, clients, count, plot, table};

/// The arguments of a child that only sends.
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    /// The name of the client in the table.
    #[arg(long)]
    who: String,
    #[arg(long)]
    messages: usize,
    #[arg(long)]
    octets: usize,
    /// A running sink and its certificate. By default the child starts its own.
    #[arg(long, requires = "root")]
    port: Option<u16>,
    #[arg(long)]
    root: Option<String>,
    /// Concurrent senders, over a connection each.
    #[arg(long)]
    senders: Option<usize>,
}

/// The output of such a child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Peak memory in KiB.
    pub(crate) peak_memory: Option<f64>,
}

/// The results of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) quick: bool,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) seconds: f64,
    pub(crate) sections: Vec<Section>,
}

/// Runs all cases, or one, and writes the pages. Returns whether all succeeded.
pub(crate) fn run(quick: bool, only: Option<&str>, folder: &Path) -> Result<bool, Failure> {
    let cases: Vec<&Case> = ALL
        .iter()
        .filter(|case| only.is_none_or(|name| name == case.name))
        .collect();
    if cases.is_empty() {
        let names: Vec<_> = ALL.iter().map(|case| case.name).collect();
        return Err(format!("there is no such case; there are {}", names.join(", ")).into());
    }
    let begun = Instant::now();
    let mut sections = Vec::new();
    for case in cases {
        eprint!("{:<12}", case.name);
        io::stderr().flush()?;
        let since = Instant::now();
        let section = in_a_child(case, quick)
            .unwrap_or_else(|failure| Section::failed(case.name, failure.to_string()));
        let word = if section.is_whole() { "done" } else { "FAILED" };
        eprintln!("{word}, {:.1} s", since.elapsed().as_secs_f64());
        sections.push(section);
    }
    let results = Results {
        quick,
        cores: thread::available_parallelism().map_or(0, usize::from),
        kernel: kernel(),
        seconds: begun.elapsed().as_secs_f64(),
        sections,
    };
    let claims = claims::judge(&results.sections);
    let page = table::markdown(&results, &claims);
    println!("{page}");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("results.md"), page)?;
    let data = serde_json::to_string_pretty(&results)?;
    std::fs::write(folder.join("results.json"), data + "\n")?;
    std::fs::write(folder.join("results.svg"), plot::svg(&results))?;
    Ok(results.sections.iter().all(Section::is_whole))
}

/// The release of the running Linux kernel, without the suffix of a distributor.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let end = release.find(['-', '\n']).unwrap_or(release.len());
    release[..end].to_owned()
}

fn in_a_child(case: &Case, quick: bool) -> Result<Section, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("case").arg(case.name);
    if quick {
        command.arg("--quick");
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = within(child, Duration::from_secs(case.limit))?;
    Ok(serde_json::from_str(&output)?)
}

/// The output of a child that ends in time; one that does not is killed.
fn within(mut child: Child, limit: Duration) -> Result<String, Failure> {
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let reader = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("took longer than {} s", limit.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        return Err(format!("ended with {status}").into());
    }
    let output = reader.join().map_err(|_| "the reader panicked")??;
    Ok(output)
}

/// Runs in a child: measures one case and prints the result as JSON.
pub(crate) fn measure(name: &str, quick: bool) -> Result<bool, Failure> {
    let case = ALL.iter().find(|case| case.name == name);
    let case = case.ok_or("there is no such case")?;
    let section = (case.measure)(&mut Lab::open(quick)?)?;
    println!("{}", serde_json::to_string(&section)?);
    Ok(true)
}

/// Runs in a child: sends, and prints its peak memory.
pub(crate) fn send(arguments: &SendArguments) -> Result<(), Failure> {
    let contender = clients::find(&arguments.who).ok_or("there is no such client")?;
    let mail = if arguments.who == clients::STREAM {
        Mail::paged(arguments.octets)
    } else {
        Mail::of(arguments.octets)
    };
    let messages = arguments.messages;
    if let (Some(port), Some(root)) = (arguments.port, &arguments.root) {
        let target = Target::plain(port, root);
        match arguments.senders {
            Some(count) => send_concurrently(&target, &*contender, &mail, messages, count)?,
            None => send_to(&target, &*contender, &mail, messages)?,
        }
    } else {
        let mut lab = Lab::open(true)?;
        let (port, target) = lab.target(&*contender, Mode::Plain, 0)?;
        send_to(&target, &*contender, &mail, messages)?;
        check(&lab.sink.take(port)?, messages, &mail)?;
    }
    let peak_memory = count::peak_memory();
    println!("{}", serde_json::to_string(&Sent { peak_memory })?);
    Ok(())
}

fn send_to(
    target: &Target,
    contender: &dyn Contender,
    mail: &Mail,
    messages: usize,
) -> Result<(), Failure> {
    let mut session = contender.prepare(target)?.open()?;
    session.load(mail, messages)?;
    session.send()
}

fn send_concurrently(
    target: &Target,
    contender: &dyn Contender,
    mail: &Mail,
    messages: usize,
    count: usize,
) -> Result<(), Failure> {
    let client = contender.prepare(target)?;
    let senders = Senders {
        count,
        messages: messages / count,
        connections: count,
    };
    if client.concurrent(mail, senders)? || client.pool(mail, messages, count)? {
        return Ok(());
    }
    Err("cannot send concurrently".into())
}

/// The arguments of a child that holds many sessions.
#[derive(Debug, Args)]
pub(crate) struct HoldArguments {
    /// The name of the client in the table.
    #[arg(long)]
    who: String,
    #[arg(long)]
    tls: bool,
    #[arg(long)]
    idle: usize,
    #[arg(long)]
    busy: usize,
    /// The messages of each busy session.
    #[arg(long)]
    messages: usize,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    root: String,
}

/// The output of such a child: its memory and its processor time at each stage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Octets of the allocator.
    pub(crate) heap: [f64; 3],
    /// Resident memory in KiB.
    pub(crate) resident: [f64; 3],
    /// Processor time of the messages of the busy sessions, in microseconds.
    pub(crate) processor: f64,
}

/// The size of the messages of many sessions.
pub(crate) const HELD_MESSAGE: usize = 4096;

/// Runs in a child: holds many sessions, and prints what they needed.
pub(crate) fn hold(arguments: &HoldArguments) -> Result<(), Failure> {
    let contender = clients::find(&arguments.who).ok_or("there is no such client")?;
    let mut target = Target::plain(arguments.port, &arguments.root);
    if arguments.tls {
        target.mode = Mode::Wrapper;
    }
    let client = contender.prepare(&target)?;
    let crowd = Crowd {
        idle: arguments.idle,
        busy: arguments.busy,
        messages: arguments.messages,
    };
    let mut held = Held::default();
    let region = count::allocations();
    let processor = || count::processor_time_of(UsageWho::RUSAGE_SELF).unwrap_or(f64::NAN);
    let mut reached = |stage| {
        let at = match stage {
            Stage::Begun => 0,
            Stage::Idle => {
                held.processor -= processor();
                1
            }
            Stage::Busy => 2,
            Stage::Sent => {
                held.processor += processor();
                return;
            }
        };
        held.heap[at] = count::held(&region.change());
        held.resident[at] = count::resident_memory().unwrap_or(f64::NAN);
    };
    if !client.crowd(&Mail::of(HELD_MESSAGE), crowd, &mut reached)? {
        return Err("cannot hold many sessions".into());
    }
    println!("{}", serde_json::to_string(&held)?);
    Ok(())
}

/// Runs such a child.
pub(crate) fn hold_in_a_child(who: &str, target: &Target, crowd: Crowd) -> Result<Held, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("hold").arg(format!("--who={who}"));
    if target.mode == Mode::Wrapper {
        command.arg("--tls");
    }
    command
        .arg(format!("--idle={}", crowd.idle))
        .arg(format!("--busy={}", crowd.busy))
        .arg(format!("--messages={}", crowd.messages))
        .arg(format!("--port={}", target.port))
        .arg(format!("--root={}", target.root));
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = within(child, Duration::from_secs(120))?;
    Ok(serde_json::from_str(&output)?)
}

/// The arguments of a child that only sends, with its own sink or with `target`.
pub(crate) fn send_arguments(
    who: &str,
    messages: usize,
    octets: usize,
    target: Option<&Target>,
) -> Vec<String> {
    let mut arguments = vec![
        "send".to_owned(),
        format!("--who={who}"),
        format!("--messages={messages}"),
        format!("--octets={octets}"),
    ];
    if let Some(target) = target {
        arguments.push(format!("--port={}", target.port));
        arguments.push(format!("--root={}", target.root));
    }
    arguments
}

/// Runs such a child.
pub(crate) fn send_in_a_child(arguments: &[String]) -> Result<Sent, Failure> {
    let child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = within(child, Duration::from_secs(60))?;
    Ok(serde_json::from_str(&output)?)
}
