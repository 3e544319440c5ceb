//! `Range`, `If-Range`, `If-Match` and `If-None-Match` of downloads (RFC 9110), for one strong entity tag.
//!
//! Pure. A single range is served; several ranges in one header are answered with the whole, as the RFC allows.

use std::ops::Range;

/// Longest list of entity tags that is read, in characters.
const HEADER_CHARS_MAX: usize = 4096;

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: 200.
    Whole,
    /// A part: 206.
    Part(Range<u64>),
    /// No byte of it is in the range: 416.
    Unsatisfiable,
}

/// Reads a `Range` header over `len` bytes. A header that is not understood is ignored.
pub(crate) fn wanted(header: Option<&str>, len: u64) -> Wanted {
    let Some(text) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let text = text.trim();
    if text.contains(',') {
        return Wanted::Whole;
    }
    let Some((from, to)) = text.split_once('-') else { return Wanted::Whole };
    let (from, to) = (from.trim(), to.trim());
    if from.is_empty() {
        let Some(count) = number(to) else { return Wanted::Whole };
        if count == 0 || len == 0 {
            return Wanted::Unsatisfiable;
        }
        return Wanted::Part(len.saturating_sub(count)..len);
    }
    let Some(first) = number(from) else { return Wanted::Whole };
    let last = if to.is_empty() { u64::MAX } else { number(to).unwrap_or(0) };
    if !to.is_empty() && (number(to).is_none() || last < first) {
        return Wanted::Whole;
    }
    if first >= len {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part(first..last.saturating_add(1).min(len))
}

/// Digits only; more than fit count as the largest number.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// True when `header` (of `If-Match` or `If-None-Match`) names this tag or any. `weak`: weak tags compare equal too.
pub(crate) fn names(header: &str, tag: &str, weak: bool) -> bool {
    if header.len() > HEADER_CHARS_MAX {
        return false;
    }
    header
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one == tag || (weak && one.strip_prefix("W/") == Some(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_range() {
        let whole = [
            None,
            Some("items=0-1"),
            Some("bytes=5-2"),
            Some("bytes=a-b"),
            Some("bytes=0-1,4-5"),
            Some("bytes=-"),
            Some("bytes=1-x"),
        ];
        for header in whole {
            assert_eq!(wanted(header, 10), Wanted::Whole, "{header:?}");
        }
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            ("bytes=9-99999999999999999999999", 9..10),
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Part(part), "{header}");
        }
        for header in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(wanted(Some(header), 10), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn tags() {
        assert!(names("\"a\", \"b\"", "\"b\"", false) && names("*", "\"b\"", false));
        assert!(!names("W/\"b\"", "\"b\"", false) && names("W/\"b\"", "\"b\"", true));
        assert!(!names("\"bc\"", "\"b\"", true));
    }
}
