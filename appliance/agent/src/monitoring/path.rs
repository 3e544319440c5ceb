//! Numbers in the answers of a server, by path.

use bson::{Bson, Document};

/// The value at a path like `network.bytesIn`. Names of the storage engine's statistics have spaces and no dots.
pub(super) fn at<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((first, rest)) => at(document.get(first)?.as_document()?, rest),
    }
}

/// The number there, of whatever type.
#[allow(
    clippy::cast_precision_loss,
    reason = "counters beyond 2^53 lose their last digits, rates of them do not notice"
)]
pub(super) fn number(document: &Document, path: &str) -> Option<f64> {
    match at(document, path)? {
        Bson::Int32(n) => Some(f64::from(*n)),
        Bson::Int64(n) => Some(*n as f64),
        Bson::Double(n) => Some(*n),
        Bson::Boolean(b) => Some(f64::from(u8::from(*b))),
        _ => None,
    }
}

/// The same as a whole number.
#[allow(clippy::cast_possible_truncation, reason = "whole numbers that the server sends as doubles")]
pub(super) fn whole(document: &Document, path: &str) -> Option<i64> {
    match at(document, path)? {
        Bson::Int64(n) => Some(*n),
        _ => number(document, path).map(|n| n as i64),
    }
}

/// The text there.
pub(super) fn text<'a>(document: &'a Document, path: &str) -> Option<&'a str> {
    at(document, path)?.as_str()
}

/// The documents of an array.
pub(super) fn documents<'a>(document: &'a Document, path: &str) -> Vec<&'a Document> {
    let array = at(document, path).and_then(Bson::as_array);
    array.map(|all| all.iter().filter_map(Bson::as_document).collect()).unwrap_or_default()
}

/// The texts of an array.
pub(super) fn texts(document: &Document, path: &str) -> Vec<String> {
    let array = at(document, path).and_then(Bson::as_array);
    array.map(|all| all.iter().filter_map(|b| b.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn paths_lead_through_documents() {
        let doc = doc! { "a": { "bytes in the cache": 5_i64, "b": [ { "c": true } ] }, "d": 1.5, "e": ["x", 1] };
        assert_eq!(number(&doc, "a.bytes in the cache"), Some(5.0));
        assert_eq!((number(&doc, "d"), whole(&doc, "d"), number(&doc, "a.x.y")), (Some(1.5), Some(1), None));
        assert_eq!(documents(&doc, "a.b").len(), 1);
        assert_eq!(texts(&doc, "e"), ["x"]);
    }
}
