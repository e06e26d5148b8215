//! The server's log: the commands that it received, and the result of a message.
//!
//! Knows the format of Postfix's log. Must never know the messages that were sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The longest time until the server writes its log.
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// The text before a command of the client.
const CLIENT_COMMAND_PREFIX: &str = "]: < unknown[127.0.0.1]: ";

/// A log, read as it grows.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    /// The part that was read of an incomplete line.
    rest: Vec<u8>,
}

impl Log {
    /// Opens the log and skips its present content.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        let rest = Vec::new();
        Ok(Self { file, rest })
    }

    /// Skips the content up to now.
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.rest.clear();
        Ok(())
    }

    /// The lines up to and including the first that contains this text; later lines are
    /// dropped.
    pub(crate) fn until(&mut self, last: &str) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + LOG_TIMEOUT;
        let mut lines = Vec::new();
        loop {
            self.file.read_to_end(&mut self.rest)?;
            while let Some(end) = self.rest.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                let is_last = line.contains(last);
                lines.push(line);
                if is_last {
                    return Ok(lines);
                }
            }
            if Instant::now() > deadline {
                let why = format!("the log never says {last:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The commands of the session up to `QUIT`, at the port that logs them.
    pub(crate) fn commands(&mut self) -> io::Result<Vec<String>> {
        let lines = self.until(&format!("{CLIENT_COMMAND_PREFIX}QUIT"))?;
        let received = lines
            .iter()
            .filter_map(|line| line.split_once(CLIENT_COMMAND_PREFIX));
        Ok(received.map(|(_, command)| command.to_owned()).collect())
    }
}
