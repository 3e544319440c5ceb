//! What can go wrong with a server, in sentences that say what to do next.

use holdfast_domain::{Classify, ErrorClass};

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SftpError {
    /// It does not answer, or the connection broke.
    #[error("the SFTP server {server} cannot be reached, or the connection broke: {detail}")]
    Connection {
        /// Host and port.
        server: String,
        /// What happened.
        detail: String,
    },
    /// It shows another host key than the pinned one.
    #[error(
        "the host key of {server} changed: {pinned} was confirmed, {shown} is shown; nothing was sent. If the server was set up anew, \
         remove this target and add it again, otherwise someone else may be answering in its place"
    )]
    HostKeyChanged {
        /// Host and port.
        server: String,
        /// Fingerprint that was confirmed.
        pinned: String,
        /// Fingerprint that is shown, or that none of that kind is.
        shown: String,
    },
    /// The login is refused.
    #[error(
        "{server} refuses the login of {user}: put the public key of this group into that user's authorized_keys file"
    )]
    LoginRefused {
        /// Host and port.
        server: String,
        /// User.
        user: String,
    },
    /// It lets us in, but offers no SFTP.
    #[error("{server} lets {user} in but offers no SFTP: switch its sftp subsystem on")]
    NoSftp {
        /// Host and port.
        server: String,
        /// User.
        user: String,
    },
    /// There is not enough room.
    #[error("the disk of the SFTP server is full: {free_bytes} bytes are free, {needed_bytes} more are needed")]
    Full {
        /// Bytes free.
        free_bytes: u64,
        /// Bytes that are still to be written.
        needed_bytes: u64,
    },
    /// It refuses an operation.
    #[error("the SFTP server refuses to {what} {path}: {detail}")]
    Refused {
        /// A verb.
        what: &'static str,
        /// Path there.
        path: String,
        /// Its words.
        detail: String,
    },
    /// A key cannot be read.
    #[error("{what} is no OpenSSH key")]
    BadKey {
        /// Which.
        what: &'static str,
    },
}

impl Classify for SftpError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Connection { .. } => ErrorClass::Retry,
            Self::HostKeyChanged { .. }
            | Self::LoginRefused { .. }
            | Self::NoSftp { .. }
            | Self::Full { .. }
            | Self::Refused { .. } => ErrorClass::Operator,
            Self::BadKey { .. } => ErrorClass::Caller,
        }
    }
}
