//! A bound on CPU-heavy work: hashing, compressing, opening frames run on blocking threads, at most `workers` at a time.
//!
//! Closures here never wait for anything but CPU and the file system, so that no two of them can wait for each other.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// The work did not end: it panicked, or the runtime is shutting down.
#[derive(Debug)]
pub(crate) struct Broken;

/// Permits for CPU-heavy work, shared by all writers and readers of one store.
#[derive(Clone)]
pub(crate) struct Workers {
    permits: Arc<Semaphore>,
    count: usize,
}

impl Workers {
    pub(crate) fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), count }
    }

    /// How many run at a time.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` on a blocking thread when a permit is free. When the caller is dropped, work that has begun ends by itself.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Broken)?;
        let task = tokio::task::spawn_blocking(move || {
            let value = work();
            drop(permit);
            value
        });
        task.await.map_err(|error| {
            tracing::error!(%error, "work on a block ended early");
            Broken
        })
    }
}
