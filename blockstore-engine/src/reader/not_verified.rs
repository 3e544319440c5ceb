//! What a verification could not look at, since the process lacks its key. A missing key is not a bad block: nothing is marked for it.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::ErrorClass;
use crate::keys::KeyId;

/// Blocks that were neither proved nor found to be bad.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotVerified {
    /// How many were met; what lies below a node that cannot be read is not counted, since it is not known.
    pub blocks: u64,
    /// The keys that would be needed.
    pub keys: BTreeSet<KeyId>,
}

impl NotVerified {
    pub(crate) fn add(&mut self, key: KeyId) {
        self.blocks += 1;
        self.keys.insert(key);
    }

    /// See [`ErrorClass`]: only the operator has the key. `None` when everything was looked at.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        (self.blocks > 0).then_some(ErrorClass::Operator)
    }
}

impl fmt::Display for NotVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
        let (noun, verb) = if keys.len() == 1 { ("key", "is") } else { ("keys", "are") };
        write!(f, "not verified: {noun} {} {verb} not here", keys.join(", "))
    }
}
