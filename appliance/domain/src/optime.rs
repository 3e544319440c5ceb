//! Cluster time and optime.
//!
//! A `Ts` serialises as a BSON timestamp, so that queries and indexes order it (in JSON as extended JSON,
//! `{"$timestamp": {"t", "i"}}`; the REST API has its own form). It does not ask whether the format is human
//! readable: `bson` answers that differently for documents and for raw bytes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A cluster time: seconds since the epoch and an increment within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ts {
    /// Seconds since 1970.
    pub t: u32,
    /// Ordinal within the second, from 1.
    pub i: u32,
}

/// The text is not `SECONDS,INCREMENT`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not SECONDS,INCREMENT")]
pub struct ParseTsError(pub String);

impl Ts {
    /// Before every entry.
    pub const ZERO: Self = Self { t: 0, i: 0 };

    /// The last instant of second `t`: every entry of that second is at or before it.
    #[must_use]
    pub const fn end_of_second(t: u32) -> Self {
        Self { t, i: u32::MAX }
    }
}

impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.t, self.i)
    }
}

impl FromStr for Ts {
    type Err = ParseTsError;
    fn from_str(text: &str) -> Result<Self, ParseTsError> {
        let bad = || ParseTsError(text.chars().take(64).collect());
        let (t, i) = text.split_once(',').ok_or_else(bad)?;
        Ok(Self { t: t.parse().map_err(|_| bad())?, i: i.parse().map_err(|_| bad())? })
    }
}

impl From<bson::Timestamp> for Ts {
    fn from(ts: bson::Timestamp) -> Self {
        Self { t: ts.time, i: ts.increment }
    }
}

impl From<Ts> for bson::Timestamp {
    fn from(ts: Ts) -> Self {
        Self { time: ts.t, increment: ts.i }
    }
}

impl From<Ts> for bson::Bson {
    fn from(ts: Ts) -> Self {
        Self::Timestamp(ts.into())
    }
}

impl Serialize for Ts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        bson::Timestamp::from(*self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Ts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        bson::Timestamp::deserialize(from).map(Into::into)
    }
}

/// Where an oplog entry stands: its cluster time and the election term that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct OpTime {
    /// Cluster time.
    pub ts: Ts,
    /// Term; -1 for the very first entry of an oplog, which has none.
    pub term: i64,
}

impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {})", self.ts, self.term)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn order_text_and_forms() {
        let (a, b) = (Ts { t: 5, i: 9 }, Ts { t: 6, i: 1 });
        assert!(a < b && b < Ts::end_of_second(6) && Ts::end_of_second(5) < b);
        assert_eq!("5,9".parse::<Ts>().unwrap(), a);
        assert!("5".parse::<Ts>().is_err() && "5,-1".parse::<Ts>().is_err() && "5,4294967296".parse::<Ts>().is_err());
        let op = OpTime { ts: a, term: 3 };
        assert_eq!(bson::deserialize_from_slice::<OpTime>(&bson::serialize_to_vec(&op).unwrap()).unwrap(), op);
        assert_eq!(serde_json::from_str::<OpTime>(&serde_json::to_string(&op).unwrap()).unwrap(), op);
        assert_eq!(
            bson::serialize_to_document(&op).unwrap().get("ts"),
            Some(&bson::Bson::Timestamp(bson::Timestamp { time: 5, increment: 9 }))
        );
    }
}
