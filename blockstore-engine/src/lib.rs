//! Content-addressed store of files: cuts them into blocks, stores each distinct block once, commits snapshots, reads them back.
//!
//! It knows files and bytes, nothing of what they mean. `docs/format.md` draws what is stored, `docs/concurrency.md` says what may run
//! beside what, `docs/ranges.md` how unchanged bytes are not even read. Start at [`Blockstore`].
#![deny(clippy::cast_possible_truncation)]

pub mod archive;
pub mod cache;
pub mod copy;
pub mod engine;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod gc;
pub mod guards;
pub mod id;
pub mod keys;
pub mod payload;
pub mod progress;
pub mod proof;
pub mod ranges;
pub mod reader;
mod records;
pub mod recover;
pub mod root;
pub mod roots;
pub mod source;
pub mod stats;
pub mod tree;
pub mod verify;
pub mod writer;

mod frame;
mod key_file;
mod stops;
mod store;
mod txn;
mod workers;

pub use cache::{CacheOptions, CacheStats};
pub use copy::{
    BlockAddress, CopyError, CopyProgress, CopyReport, CopyRequest, CopySource, OnCopy, SourceFault, StoreSource,
    StoredBlock, Wanted,
};
pub use engine::{Blockstore, EngineOptions};
pub use error::{
    ErrorClass, NoPackStore, OpenError, PackFault, PayloadError, ReadError, RegisterError, RootError, StoreFault,
    WriteError,
};
pub use gc::{
    Account, Amount, CollectError, CollectOptions, CollectPhase, CollectPlan, CollectProgress, CollectReport, LastRun,
    OnCollect, SnapshotUsage,
};
pub use guards::Guard;
pub use id::{BadId, BlockId, PayloadAt, Place, RootId, StoreNumber};
pub use keys::{GroupKey, KeyError, KeyId, Keyring, MasterKey};
pub use payload::{
    Aside, AsideError, MirrorReport, MoveReport, MoveRequest, PackId, PackLocation, PackStoreOptions, PackUsage,
    PayloadStore, S3Options, StoreState, SweepReport, SweepRequest,
};
pub use progress::{OnProgress, Progress};
pub use proof::NewBlocksReport;
pub use ranges::RangesReport;
pub use reader::{BadBlock, Leaf, LeafWalk, SnapshotReader, VerifyReport};
pub use records::{RECORD_SEAL_BYTES, RecordError};
pub use recover::{RecoverError, RecoveredRoot, RecoveredSnapshot, Recovery};
pub use root::{COPY_PIN, Floor, Origin, Pin, Purpose, Root};
pub use roots::Rule;
pub use source::{FRAMES_MAX, FrameSource};
pub use stats::StoreStats;
#[doc(hidden)]
pub use stops::Stops;
pub use tree::{BadTree, Child, FileEntry, Node};
pub use verify::{
    NamedBlock, OnVerify, RepairReport, RepairSource, RollingOptions, RollingReport, SnapshotCheck, VerifyError,
    VerifyProgress,
};
pub use writer::{CommitRequest, SnapshotWriter, WriterRequest};
