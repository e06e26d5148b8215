//! Small servers that follow a script and record what they receive.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A server for one connection, or for several, one after the other.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    thread: JoinHandle<Vec<String>>,
}

/// The server's side of the connection.
pub(crate) struct Peer {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    received: Vec<String>,
}

impl Scripted {
    /// Starts a server that plays this.
    pub(crate) fn play(play: impl FnOnce(&mut Peer) + Send + 'static) -> Self {
        Self::play_each([play])
    }

    /// Starts a server that plays each of these, on a connection of its own. Another connection
    /// is refused at once.
    pub(crate) fn play_each(
        plays: impl IntoIterator<Item = impl FnOnce(&mut Peer)> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            let mut listener = Some(listener);
            let mut received = Vec::new();
            let mut plays = plays.into_iter().peekable();
            while let (Some(play), Some(listening)) = (plays.next(), &listener) {
                let (stream, _) = listening.accept().unwrap();
                if plays.peek().is_none() {
                    listener = None;
                }
                let mut peer = Peer::new(stream);
                play(&mut peer);
                received.append(&mut peer.received);
            }
            received
        });
        Self { port, thread }
    }

    /// Starts a server that plays a script: it sends the `S: ` lines, and for each `C: ` line
    /// it reads a line that must begin with this text; `C: .` reads all content. At the end it
    /// accepts every command until the client closes.
    pub(crate) fn script(script: &'static str) -> Self {
        Self::play(move |peer| {
            peer.play(script);
            peer.agree();
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// The lines that it received.
    pub(crate) fn received(self) -> Vec<String> {
        self.thread.join().expect("the script was kept to")
    }
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        // A failed test must end too.
        let limit = Some(Duration::from_secs(15));
        stream.set_read_timeout(limit).unwrap();
        stream.set_write_timeout(limit).unwrap();
        Self {
            reader: BufReader::new(stream.try_clone().unwrap()),
            writer: stream,
            received: Vec::new(),
        }
    }

    /// Plays the lines of a script.
    pub(crate) fn play(&mut self, script: &str) {
        let lines = script.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .for_each(|line| self.play_line(line));
    }

    fn play_line(&mut self, line: &str) {
        match line.split_once(": ") {
            Some(("S", reply)) => self.send(&format!("{reply}\r\n")),
            Some(("C", ".")) => self.hear_content(),
            Some(("C", command)) => {
                let received = self.receive();
                assert!(
                    received.starts_with(command),
                    "{received:?} does not begin with {command:?}"
                );
            }
            _ => panic!("{line:?} is not a line of a script"),
        }
    }

    pub(crate) fn send(&mut self, octets: &str) {
        // The client may have closed.
        let _ = self.writer.write_all(octets.as_bytes());
    }

    /// Sends the same octets until the client closes.
    pub(crate) fn say_for_ever(&mut self, octets: &str) {
        let many = octets.repeat(64 * 1024 / octets.len());
        while self.writer.write_all(many.as_bytes()).is_ok() {}
    }

    /// Waits for something, and then sends these octets, the last one again and again, with pauses.
    pub(crate) fn drip(&mut self, octets: &str) {
        let _ = self.reader.fill_buf();
        self.send(octets);
        let last = &octets.as_bytes()[octets.len() - 1..];
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            if self.writer.write_all(last).is_err() {
                return;
            }
        }
    }

    /// Reads one line without its line end; empty once the client has closed.
    pub(crate) fn receive(&mut self) -> String {
        let mut line = Vec::new();
        let _ = self.reader.read_until(b'\n', &mut line);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !line.is_empty() {
            self.received.push(line.clone());
        }
        line
    }

    pub(crate) fn hear_content(&mut self) {
        loop {
            let line = self.hear_raw();
            if line.is_empty() || line == b".\r\n" {
                return;
            }
        }
    }

    fn hear_raw(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let _ = self.reader.read_until(b'\n', &mut line);
        line
    }

    /// Waits until the client closes.
    pub(crate) fn be_silent(&mut self) {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
    }

    pub(crate) fn close(&mut self) {
        let _ = self.writer.shutdown(Shutdown::Both);
    }

    /// Accepts every command until the client closes.
    pub(crate) fn agree(&mut self) {
        loop {
            let reply = match self.receive().split(' ').next() {
                None | Some("") => return,
                Some("QUIT") => "221 bye\r\n",
                Some(_) => "250 ok\r\n",
            };
            self.send(reply);
        }
    }
}
