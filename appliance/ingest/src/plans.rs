//! Frozen layouts of archives, kept while they are being fetched in many ranges: planning costs one lookup per file.
//!
//! A plan is asked whether it is still current before every use; one whose frames were replaced is dropped and made again. Expendable:
//! any instance makes the same plan from the same snapshot.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use blockstore_engine::{
    Blockstore, ErrorClass as EngineClass, RootId, SnapshotReader,
    archive::{Archive, ArchiveError, ArchiveFormat},
};
use holdfast_domain::ErrorClass;

use crate::problem::ApiError;

/// Plans kept. One holds about 150 bytes per file of its snapshot.
const PLANS_MAX: usize = 8;
/// Plans made anew for one request while frames are being replaced.
const ATTEMPTS_MAX: usize = 3;

/// A plan of an archive.
pub(crate) type Plan = Archive<SnapshotReader>;

/// The most recently used plans, the newest at the back.
#[derive(Default)]
pub(crate) struct Plans {
    held: Mutex<VecDeque<(RootId, ArchiveFormat, Plan)>>,
}

impl Plans {
    fn held(&self) -> MutexGuard<'_, VecDeque<(RootId, ArchiveFormat, Plan)>> {
        // The queue is whole between any two statements that can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, root: &RootId, format: ArchiveFormat) -> Option<Plan> {
        let mut held = self.held();
        let index = held.iter().position(|(r, f, _)| r == root && *f == format)?;
        held.remove(index).map(|(_, _, plan)| plan)
    }

    fn keep(&self, root: &RootId, format: ArchiveFormat, plan: Plan) {
        let mut held = self.held();
        held.retain(|(r, f, _)| r != root || *f != format);
        held.push_back((*root, format, plan));
        while held.len() > PLANS_MAX {
            held.pop_front();
        }
    }

    /// The current plan of this snapshot in this format.
    ///
    /// # Errors
    /// 410 when the snapshot is gone, else what the engine says.
    pub(crate) async fn get(&self, store: &Blockstore, root: &RootId, format: ArchiveFormat) -> Result<Plan, ApiError> {
        if let Some(plan) = self.take(root, format)
            && plan.ensure_current().await.is_ok()
        {
            self.keep(root, format, plan.clone());
            return Ok(plan);
        }
        let mut attempt = 1;
        loop {
            let found = store.root(root).await;
            let found =
                found.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?.ok_or_else(|| {
                    let detail = "the snapshot behind this link is gone";
                    ApiError::new(StatusCode::GONE, "snapshotGone", "The snapshot is gone", detail)
                })?;
            match Archive::plan(store.reader(found), format).await {
                Ok(plan) => {
                    self.keep(root, format, plan.clone());
                    return Ok(plan);
                }
                Err(ArchiveError::LayoutChanged) if attempt < ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(read_error(&error)),
            }
        }
    }
}

/// Answers an error of the engine.
pub(crate) fn read_error(error: &ArchiveError) -> ApiError {
    ApiError::from_class(class_of(error.class()), error)
}

/// The engine has its own copy of the classes.
pub(crate) const fn class_of(class: EngineClass) -> ErrorClass {
    match class {
        EngineClass::Retry => ErrorClass::Retry,
        EngineClass::Operator => ErrorClass::Operator,
        EngineClass::Caller => ErrorClass::Caller,
        EngineClass::Corrupt => ErrorClass::Corrupt,
        EngineClass::Bug => ErrorClass::Bug,
        EngineClass::Cancelled => ErrorClass::Cancelled,
    }
}
