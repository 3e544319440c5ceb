//! The UUID of a collection: the only name of it that no rename changes.

use std::{fmt, str::FromStr};

/// UUID of a collection. As text: 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionUuid(pub [u8; 16]);

impl fmt::Display for CollectionUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CollectionUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID of 32 hex digits")]
pub struct ParseUuidError(pub String);

impl FromStr for CollectionUuid {
    type Err = ParseUuidError;
    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let mut bytes = [0; 16];
        // Dashes are how people write UUIDs.
        let plain: String = text.chars().filter(|c| *c != '-').take(64).collect();
        hex::decode_to_slice(&plain, &mut bytes).map_err(|_| ParseUuidError(text.chars().take(64).collect()))?;
        Ok(Self(bytes))
    }
}

impl From<CollectionUuid> for bson::Bson {
    fn from(uuid: CollectionUuid) -> Self {
        Self::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: uuid.0.to_vec() })
    }
}

impl CollectionUuid {
    /// Reads what listCollections says in `info.uuid`.
    #[must_use]
    pub fn from_bson(value: &bson::Bson) -> Option<Self> {
        match value {
            bson::Bson::Binary(binary) => binary.bytes.as_slice().try_into().ok().map(Self),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_and_bson_form() {
        let uuid = CollectionUuid([0xab; 16]);
        assert_eq!(uuid.to_string(), "ab".repeat(16));
        assert_eq!(uuid.to_string().parse::<CollectionUuid>().unwrap(), uuid);
        assert_eq!("abababab-abab-abab-abab-abababababab".parse::<CollectionUuid>().unwrap(), uuid);
        assert_eq!(CollectionUuid::from_bson(&uuid.into()), Some(uuid));
        for bad in ["", "ab", "zz", &"a".repeat(33)] {
            assert!(bad.parse::<CollectionUuid>().is_err(), "{bad}");
        }
    }
}
