//! The threads that run workflows' code, apart from everything else, so that code which never gives its thread back stops
//! neither the store nor the API.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own.
pub(super) struct Lane {
    pub number: u64,
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Lane {
    /// Opens a lane. Without room for threads the jobs share those of everything else.
    pub fn open(number: u64, threads: usize) -> Self {
        // A workflow with its steps and their calls is one deep future.
        let built = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("job")
            .thread_stack_size(8 << 20)
            .enable_all()
            .build();
        match built {
            Ok(runtime) => Self { number, handle: runtime.handle().clone(), runtime: Some(runtime) },
            Err(error) => {
                tracing::error!(%error, "no threads for jobs; they share those of everything else");
                Self { number, handle: Handle::current(), runtime: None }
            }
        }
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The runtime, to be shut down where that may block.
    pub fn take(&mut self) -> Option<Runtime> {
        self.runtime.take()
    }
}
