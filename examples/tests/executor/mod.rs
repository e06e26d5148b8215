//! Runs futures with tokio.

use postwire_examples::by_tokio::Tokio;
use postwire_testing::futures::Executor;

/// tokio's executor.
pub(crate) struct OverTokio;

impl Executor for OverTokio {
    type Runtime = Tokio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::new().unwrap().block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        let task = tokio::spawn(task);
        async { task.await.unwrap() }
    }
}
