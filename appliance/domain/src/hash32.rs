//! A BLAKE3-256 hash: 64 hex digits, in JSON and in BSON.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32(pub [u8; 32]);

/// The text is not a hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a hash: 64 hexadecimal digits are expected")]
pub struct ParseHashError;

impl Hash32 {
    /// The hash that stands where there is nothing before: all zero.
    pub const ZERO: Self = Self([0; 32]);

    /// BLAKE3 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl From<Hash32> for bson::Bson {
    fn from(hash: Hash32) -> Self {
        Self::String(hash.to_string())
    }
}

impl FromStr for Hash32 {
    type Err = ParseHashError;
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out).map_err(|_| ParseHashError)?;
        Ok(Self(out))
    }
}

impl Serialize for Hash32 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash32 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Doc {
        h: Hash32,
    }

    #[test]
    fn bson_round_trip() {
        let doc = Doc { h: Hash32::of(b"x") };
        let raw = bson::serialize_to_vec(&doc).unwrap();
        assert_eq!(bson::deserialize_from_slice::<Doc>(&raw).unwrap(), doc);
        assert_eq!(bson::serialize_to_document(&doc).unwrap().get("h"), Some(&doc.h.into()));
        assert_eq!(doc.h.to_string().parse::<Hash32>().unwrap(), doc.h);
        assert!(bson::deserialize_from_document::<Doc>(bson::doc! { "h": "ab" }).is_err());
    }
}
