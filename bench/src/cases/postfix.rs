//! Postfix's own test client against Postfix's own test server, and postwire against the same
//! server. Both programs of Postfix must be installed.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::UsageWho;

use crate::Failure;
use crate::clients;
use crate::count::processor_time_of;
use crate::job::Target;
use crate::lab::{Lab, RoundTo};
use crate::report::{Row, Section};
use crate::rounds::interleaved;
use crate::suite::send_arguments;

pub(crate) const SMTP_SOURCE: &str = "Postfix's smtp-source";

const MESSAGE: usize = 4096;

/// What smtp-source adds to a message: its header, in about so many octets.
const HEADER: usize = 150;

/// The group with this many senders.
pub(crate) fn group(senders: usize) -> String {
    let plural = if senders == 1 { "" } else { "s" };
    format!("smtp-sink, {senders} sender{plural}")
}

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "postfix",
        "Postfix's smtp-source and postwire, against smtp-sink",
        "messages a second",
        "Messages of 4 KiB in plaintext, each sender over a connection of its own, as processes \
         from start to end; smtp-source with -d, so that it keeps its connections. smtp-sink \
         offers PIPELINING and no CHUNKING. smtp-source cannot pipeline. The processor time is \
         that of the client's process.",
    );
    section.larger_is_better = true;
    let (Some(source), Some(sink)) = (find("smtp-source"), find("smtp-sink")) else {
        section.about = "Skipped: smtp-source and smtp-sink of Postfix are not installed.".into();
        eprint!("skipped: smtp-source and smtp-sink are not installed; ");
        return Ok(section);
    };
    let sink = SmtpSink::start(&sink)?;
    for (senders, messages) in [(1, lab.size(4_000, 100)), (50, lab.size(10_000, 500))] {
        let group = group(senders);
        let port = sink.port;
        let mut entrants = vec![(Row::new(&group, SMTP_SOURCE), {
            let mut command = Command::new(&source);
            command
                .args(["-d", "-f", "alice@example.org", "-t", "bob@example.net"])
                .arg(format!("-s{senders}"))
                .arg(format!("-m{messages}"))
                .arg(format!("-l{}", MESSAGE - HEADER))
                .arg(format!("127.0.0.1:{port}"));
            command
        })];
        for contender in clients::against_postfix() {
            let mut command = Command::new(std::env::current_exe()?);
            let target = Target::plain(port, "");
            let arguments = send_arguments(contender.name(), messages, MESSAGE, Some(&target));
            command.args(arguments).arg(format!("--senders={senders}"));
            entrants.push((Row::new(&group, contender.name()), command));
        }
        interleaved(
            lab.size(5, 1),
            &mut entrants,
            |_, (row, command)| match run(command) {
                Ok((seconds, processor)) => {
                    let each = messages as f64;
                    row.samples.push(each / seconds);
                    row.least("client CPU µs", (processor / each).round_to(1));
                    row.count("messages", each);
                }
                Err(failure) => row.failure = Some(failure.to_string()),
            },
        );
        section
            .rows
            .extend(entrants.into_iter().map(|entrant| entrant.0));
    }
    Ok(section)
}

/// Runs a client to its end. Returns its time in seconds, and its processor time in microseconds.
fn run(command: &mut Command) -> Result<(f64, f64), Failure> {
    let before = processor_time_of(UsageWho::RUSAGE_CHILDREN)?;
    let begun = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let processor = processor_time_of(UsageWho::RUSAGE_CHILDREN)? - before;
    Ok((seconds, processor))
}

/// The path of a program of Postfix, which is not always in the search path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix"].map(PathBuf::from));
    let mut files = folders.into_iter().map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// A server of Postfix that discards everything, which ends when this is dropped.
struct SmtpSink {
    child: Child,
    port: u16,
}

impl SmtpSink {
    fn start(program: &Path) -> Result<Self, Failure> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut command = Command::new(program);
        // As root it must run as another user; others cannot choose one.
        if nix::unistd::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .arg(format!("127.0.0.1:{port}"))
            .arg("500")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let sink = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if begun.elapsed() > Duration::from_secs(5) {
                return Err("smtp-sink does not start".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(sink)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
