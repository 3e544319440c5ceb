//! Instants as people write them, and as answers show them.

use holdfast_domain::{OpTime, Ts};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::ApiError;

/// A cluster time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Instant {
    /// Seconds since 1970.
    pub(crate) t: u32,
    /// Ordinal within the second.
    pub(crate) i: u32,
}

impl From<Ts> for Instant {
    fn from(ts: Ts) -> Self {
        Self { t: ts.t, i: ts.i }
    }
}

impl From<OpTime> for Instant {
    fn from(optime: OpTime) -> Self {
        optime.ts.into()
    }
}

/// A cluster time, with its second as RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct InstantAt {
    /// Seconds since 1970.
    pub(crate) t: u32,
    /// Ordinal within the second.
    pub(crate) i: u32,
    /// The second, RFC 3339, UTC.
    pub(crate) at: String,
}

impl From<Ts> for InstantAt {
    fn from(ts: Ts) -> Self {
        Self { t: ts.t, i: ts.i, at: rfc3339(i64::from(ts.t)) }
    }
}

/// Seconds since 1970 as RFC 3339, UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A time of the database's documents as RFC 3339, UTC, with milliseconds.
pub(crate) fn rfc3339_of(at: bson::DateTime) -> String {
    jiff::Timestamp::from_millisecond(at.timestamp_millis()).map_or_else(|_| String::new(), |at| at.to_string())
}

/// Reads `at` of a restore: RFC 3339 names a whole second, every entry of it; `SECONDS,INCREMENT` names an entry. Both are inclusive.
pub(crate) fn parse_at(text: &str) -> Result<Ts, ApiError> {
    let bad = |why: String| {
        ApiError::bad_request(format!(
            "{why}: `at` is RFC 3339 (2026-11-22T14:03:07Z) or SECONDS,INCREMENT (1795356187,4)"
        ))
    };
    if text.contains(',') {
        return text.parse::<Ts>().map_err(|error| bad(error.to_string()));
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| bad(format!("{text:?} is not an instant")))?;
    let second = u32::try_from(at.as_second()).map_err(|_| bad(format!("{text:?} is outside 1970 to 2106")))?;
    Ok(Ts::end_of_second(second))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn both_forms() {
        assert_eq!(parse_at("5,9").unwrap(), Ts { t: 5, i: 9 });
        assert_eq!(parse_at("1970-01-01T00:00:05Z").unwrap(), Ts::end_of_second(5));
        assert_eq!(parse_at("1970-01-01T01:00:05.9+01:00").unwrap(), Ts::end_of_second(5));
        for bad in ["", "yesterday", "5,", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"] {
            assert!(parse_at(bad).is_err(), "{bad}");
        }
        assert_eq!(InstantAt::from(Ts { t: 0, i: 3 }).at, "1970-01-01T00:00:00Z");
    }
}
