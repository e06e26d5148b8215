//! Runs futures with smol.

use postwire_scenarios::futures::Executor;

/// smol's executor.
pub(crate) struct Smol;

impl Executor for Smol {
    type Runtime = postwire_smol::Smol;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        smol::block_on(future)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        smol::spawn(task)
    }
}
