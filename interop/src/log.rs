//! What the server wrote of itself: which commands it heard, and what became of a message.
//!
//! Knows how Postfix words its log. Must never know what was sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to write.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it begins what a client said.
const HEARD: &str = "]: < unknown[127.0.0.1]: ";

/// A log, read as it grows.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    /// What was read of a line that is not complete.
    rest: Vec<u8>,
}

impl Log {
    /// What stands there already is not looked at.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        let rest = Vec::new();
        Ok(Self { file, rest })
    }

    /// Forgets what came until now.
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.rest.clear();
        Ok(())
    }

    /// The lines from here to the first that holds this; those behind it are left out.
    pub(crate) fn until(&mut self, last: &str) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
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

    /// What the server heard in the session from here to `QUIT`, at the port where it tells.
    pub(crate) fn commands(&mut self) -> io::Result<Vec<String>> {
        let lines = self.until(&format!("{HEARD}QUIT"))?;
        let heard = lines.iter().filter_map(|line| line.split_once(HEARD));
        Ok(heard.map(|(_, command)| command.to_owned()).collect())
    }
}
