//! Runs futures with async-std.

use postwire_scenarios::futures::Executor;

/// async-std's executor.
pub(crate) struct AsyncStd;

impl Executor for AsyncStd {
    type Runtime = postwire_async_std::AsyncStd;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        async_std::task::block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        async_std::task::spawn(task)
    }
}
