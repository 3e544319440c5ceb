//! What a caller can do about an error.

/// This crate's own copy: it depends on no other crate of the workspace.
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
