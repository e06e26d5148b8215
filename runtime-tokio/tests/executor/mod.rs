//! Runs futures with tokio, on many threads or on one.

use std::sync::LazyLock;

use postwire_scenarios::futures::Executor;
use postwire_tokio::Tokio;
use tokio::runtime::{Builder, Runtime};

/// Threads that steal each other's tasks: one runtime for all futures.
pub(crate) struct MultiThread;

impl Executor for MultiThread {
    type Runtime = Tokio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
        RUNTIME.block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        spawn(task)
    }
}

/// All tasks on the thread that waits: a runtime for each future.
#[allow(dead_code, reason = "not in every test")]
pub(crate) struct CurrentThread;

impl Executor for CurrentThread {
    type Runtime = Tokio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        spawn(task)
    }
}

fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let task = tokio::spawn(task);
    async { task.await.unwrap() }
}
