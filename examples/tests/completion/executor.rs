//! Runs futures with compio, by completions or by readiness.

use std::future::Future;

use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::{Runtime, RuntimeBuilder, spawn};
use postwire_examples::completion::Compio;
use postwire_scenarios::futures::Executor;

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
