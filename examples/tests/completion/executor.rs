//! Runs futures with compio, by completions or by readiness, on one thread or on several.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::{Runtime, RuntimeBuilder, spawn};
use postwire_examples::completion::Compio;
use postwire_scenarios::futures::Executor;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The driver that compio chooses: `io_uring` where the system allows it. A runtime for each future.
pub(crate) struct Chosen;

impl Executor for Chosen {
    type Runtime = Compio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = Runtime::new().unwrap();
        println!("the driver is {:?}", runtime.driver_type());
        runtime.block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        spawn_here(task)
    }
}

/// Readiness, as where the system forbids `io_uring`. A runtime for each future.
pub(crate) struct Polling;

impl Executor for Polling {
    type Runtime = Compio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let mut driver = ProactorBuilder::new();
        driver.driver_type(DriverType::Poll);
        let runtime = RuntimeBuilder::new().with_proactor(driver).build().unwrap();
        assert!(runtime.driver_type().is_polling());
        runtime.block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        spawn_here(task)
    }
}

/// Runs a future concurrently, on the same thread.
fn spawn_here<T: 'static>(task: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    let task = spawn(task);
    async { task.await.unwrap() }
}

/// Threads with a runtime each, which share the transports: a connection is driven by any of them,
/// and its operations stay on the thread that opened it.
pub(crate) struct SeveralThreads;

type Job = Box<dyn FnOnce() + Send>;

impl Executor for SeveralThreads {
    type Runtime = Compio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        Chosen::block_on(future)
    }

    /// Runs each future on the next of the threads.
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        static THREADS: LazyLock<[UnboundedSender<Job>; 4]> =
            LazyLock::new(|| [(); 4].map(|()| start_thread()));
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (done, result) = oneshot::channel();
        let job = move || {
            let task = async {
                let _ = done.send(task.await);
            };
            spawn(task).detach();
        };
        let thread = &THREADS[NEXT.fetch_add(1, Ordering::Relaxed) % THREADS.len()];
        thread.send(Box::new(job)).unwrap();
        async { result.await.unwrap() }
    }
}

/// Starts a thread that runs jobs in a runtime of its own until the program ends.
fn start_thread() -> UnboundedSender<Job> {
    let (sender, mut jobs) = unbounded_channel::<Job>();
    thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            while let Some(job) = jobs.recv().await {
                job();
            }
        });
    });
    sender
}
