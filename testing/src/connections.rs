//! The open connections of a server and their threads, so that it can be stopped.
//!
//! Knows sockets and threads. Must never know what is said.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postwire_blocking::Socket;

#[derive(Debug, Default)]
pub(crate) struct Connections {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stops: bool,
    /// The number of connections so far.
    accepted: usize,
    /// A second handle of each open socket.
    open: BTreeMap<usize, Socket>,
    threads: Vec<JoinHandle<()>>,
}

impl Connections {
    /// Remembers an open connection. Returns its number; `None` if the server stops.
    pub(crate) fn add(&self, handle: Socket) -> Option<usize> {
        let mut state = self.lock();
        if state.stops {
            return None;
        }
        let number = state.accepted;
        state.accepted += 1;
        state.open.insert(number, handle);
        state.threads.retain(|thread| !thread.is_finished());
        Some(number)
    }

    pub(crate) fn add_thread(&self, thread: JoinHandle<()>) {
        self.lock().threads.push(thread);
    }

    pub(crate) fn remove(&self, number: usize) {
        self.lock().open.remove(&number);
    }

    pub(crate) fn accepted(&self) -> usize {
        self.lock().accepted
    }

    pub(crate) fn stops(&self) -> bool {
        self.lock().stops
    }

    /// Sleeps. Returns `false` early if the server stops.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let ended = Instant::now().checked_add(time);
        let mut state = self.lock();
        while !state.stops {
            let left = ended.map(|ended| ended.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return true,
                Some(left) => {
                    let waited = self.stopped.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.stopped.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        false
    }

    /// Closes all connections and lets no new one in.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stops = true;
        for socket in state.open.values() {
            // The client may have closed it already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.stopped.notify_all();
    }

    /// Waits for the threads, after [`stop`](Self::stop).
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.lock().threads);
        for thread in threads {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
