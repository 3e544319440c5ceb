//! Content-addressed store of files: cuts them into blocks, stores each distinct block once, commits snapshots, reads them back.
//!
//! It knows files and bytes, nothing of what they mean. `docs/format.md` draws what is stored, `docs/concurrency.md` says what may run
//! beside what.
#![deny(clippy::cast_possible_truncation)]

pub mod archive;
pub mod error;
pub mod id;
pub mod root;
pub mod source;
pub mod tree;
mod txn;

pub use error::{
    ErrorClass, OpenError, ReadError, RegisterError, RootError, StoreFault, WriteError,
};
pub use id::{BadId, BlockId, PayloadAt, RootId};
pub use root::{Floor, Pin, Purpose, Root};
pub use source::{FRAMES_MAX, FrameSource};
pub use tree::{BadTree, Child, FileEntry, Node};
