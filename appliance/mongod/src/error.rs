//! What can go wrong with a private mongod, one enum per operation.
//!
//! `Display` never repeats its source; `class()` is what callers decide by.

use std::{io, path::PathBuf, time::Duration};

/// What a caller can do about an error. This crate's own copy: it depends on no other crate of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The same call may pass later without anyone's help.
    Retry,
    /// The operator has to change something on the machine or in the configuration.
    Operator,
    /// The arguments are wrong.
    Caller,
    /// Stored bytes are damaged.
    Corrupt,
    /// A defect of this program.
    Bug,
    /// The work was called off.
    Cancelled,
}

/// Why a mongod did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option is out of its range.
    #[error("mongod options: {0}")]
    Options(String),
    /// The processor lacks AVX, which mongod 5.0 and later needs.
    #[error(
        "this processor has no AVX, which mongod {major}.{minor} needs: choose a processor model with AVX for the virtual machine"
    )]
    NoAvx {
        /// Major version of the binary.
        major: u32,
        /// Minor version of the binary.
        minor: u32,
    },
    /// The binary's version could not be read (asked only where the processor is in doubt).
    #[error("version of the mongod binary")]
    Version(#[source] VersionError),
    /// The key file could not be read.
    #[error("key file of the mongod")]
    KeyFile(#[source] KeyFileError),
    /// A file or folder beside the dbpath could not be used.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process (or another `Mongod` of this one) has this dbpath open.
    #[error("{} is open elsewhere: {} is locked", dbpath.display(), lock.display())]
    InUse {
        /// The dbpath.
        dbpath: PathBuf,
        /// Its lock file.
        lock: PathBuf,
    },
    /// A server that an earlier process left behind does not die.
    #[error("mongod {pid}, left over on {}, did not die within {} s of SIGKILL", dbpath.display(), waited.as_secs())]
    LeftOver {
        /// Its process id.
        pid: u32,
        /// The dbpath it holds.
        dbpath: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The binary cannot be executed.
    #[error("execute {}", binary.display())]
    Exec {
        /// The binary.
        binary: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The server ended before it answered.
    #[error("mongod on {} ended with {status} before it answered: {log}", dbpath.display())]
    Exited {
        /// The dbpath.
        dbpath: PathBuf,
        /// Exit code or signal, in words.
        status: String,
        /// Exit code where it ended by itself. 48: port taken; 62: files of another version; 100: the dbpath is in use,
        /// belongs to other storage options, or is damaged.
        code: Option<i32>,
        /// The last errors of its log.
        log: String,
    },
    /// The server runs but did not answer in time; it has been killed.
    #[error("mongod on {} did not answer within {} s: {log}", dbpath.display(), waited.as_secs())]
    Timeout {
        /// The dbpath.
        dbpath: PathBuf,
        /// How long was waited.
        waited: Duration,
        /// The last errors of its log, or the last answer.
        log: String,
    },
    /// Making the embedded replica set failed after the server had started.
    #[error("embedded replica set")]
    ReplicaSet(#[source] ReplicaSetError),
    /// The driver refused the client options that this crate made.
    #[error("client of the mongod")]
    Client(#[source] mongodb::error::Error),
}

impl StartError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Options(_) => ErrorClass::Caller,
            Self::Version(_) | Self::NoAvx { .. } | Self::KeyFile(_) | Self::Io { .. } | Self::Exec { .. } => {
                ErrorClass::Operator
            }
            Self::InUse { .. } | Self::LeftOver { .. } | Self::Timeout { .. } => ErrorClass::Retry,
            // Code 48: the port is taken, for the moment or by another program; another start may choose another.
            Self::Exited { code: Some(48), .. } => ErrorClass::Retry,
            // Ended by a signal: out of memory, or killed by someone.
            Self::Exited { code: None, .. } => ErrorClass::Retry,
            Self::Exited { .. } => ErrorClass::Operator,
            Self::ReplicaSet(error) => error.class(),
            Self::Client(_) => ErrorClass::Bug,
        }
    }
}

/// Why a mongod did not stop as it should.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It did not end in time and was killed: its files need recovery from the journal at the next start.
    #[error("mongod {pid} did not shut down within {} s and was killed", waited.as_secs())]
    Killed {
        /// Its process id.
        pid: u32,
        /// How long was waited.
        waited: Duration,
    },
    /// It ended, but not cleanly.
    #[error("mongod {pid} ended with {status} instead of a clean shutdown: {log}")]
    Unclean {
        /// Its process id.
        pid: u32,
        /// Exit code or signal, in words.
        status: String,
        /// The last errors of its log.
        log: String,
    },
    /// The process could not be signalled or waited for.
    #[error("wait for mongod {pid}")]
    Wait {
        /// Its process id.
        pid: u32,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StopError {
    /// What the caller can do about it. All leave a dbpath that the journal recovers.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Killed { .. } | Self::Unclean { .. } => ErrorClass::Retry,
            Self::Wait { .. } => ErrorClass::Bug,
        }
    }
}

/// Why a key file could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file is there but is no key that mongod takes.
    #[error("{} is not a key file: {reason}", path.display())]
    Invalid {
        /// On which path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl KeyFileError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// Why a replica set could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaSetError {
    /// The server refused a command or could not be reached.
    #[error("{what}")]
    Command {
        /// Which step.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: mongodb::error::Error,
    },
    /// The server's answer lacks what every release sends.
    #[error("answer to {what} lacks {field}")]
    Answer {
        /// Which step.
        what: &'static str,
        /// What is missing.
        field: &'static str,
    },
    /// No primary in time.
    #[error("no primary within {} s; the member says: {last}", waited.as_secs())]
    NoPrimary {
        /// How long was waited.
        waited: Duration,
        /// The last state seen.
        last: String,
    },
}

impl ReplicaSetError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Command { .. } | Self::NoPrimary { .. } => ErrorClass::Retry,
            Self::Answer { .. } => ErrorClass::Bug,
        }
    }
}

/// Why a binary's version could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The binary cannot be executed.
    #[error("execute {}", binary.display())]
    Exec {
        /// The binary.
        binary: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It ran, but did not print a version.
    #[error("{} --version printed no version: {output}", binary.display())]
    Output {
        /// The binary.
        binary: PathBuf,
        /// What it printed, cut.
        output: String,
    },
}

impl VersionError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}
