//! A careful SFTP client: keys, the pinned host key, files that are written in pipelined pieces.
//!
//! Invariants: a server whose host key is not the pinned one gets no login and no byte; a private key is never printed; every wait and every
//! window has a named bound. Called by web (look at a server, try a target) and by the daemon (pushes). It knows no documents.

mod error;
mod file;
mod keys;
mod session;

pub use error::SftpError;
pub use file::{File, WINDOW_BYTES};
pub use keys::{HostKey, KeyPair};
pub use session::{Server, Session, look};
