//! Lists, page by page: `?limit=` and `?cursor=`, and the next page as a `Link` of the answer (RFC 8288).
//!
//! For lists that are answered as an array. The body stays an array; whoever wants all of it follows `rel="next"` until there is none. A
//! page begins after the key that the page before ended with, so that what is removed in between neither repeats nor hides anything.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::problem::ApiError;

/// Elements of a page at most, and when nothing is said.
const PAGE_MAX: usize = 500;
/// Longest key of an element, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// As the `Link` of the page before says.
    cursor: Option<String>,
    /// Elements of the page, 1 to 500; 500 when nothing is said.
    limit: Option<usize>,
}

/// How a list is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Smallest key first.
    Up,
    /// Greatest key first.
    Down,
}

/// A page of elements, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl PageQuery {
    /// Orders a list by a key that no two elements share, and cuts the page out of it.
    pub(crate) fn cut<T>(
        &self,
        mut all: Vec<T>,
        order: Order,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>, ApiError> {
        let after = self.cursor.as_deref().map(read_cursor).transpose()?;
        let limit = self.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        all.sort_by_cached_key(|item| key(item));
        if order == Order::Down {
            all.reverse();
        }
        let is_after = |item: &T| match (&after, order) {
            (None, _) => true,
            (Some(after), Order::Up) => key(item) > *after,
            (Some(after), Order::Down) => key(item) < *after,
        };
        let mut items: Vec<T> = all.into_iter().filter(|item| is_after(item)).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| {
            let cursor = hex::encode(key(item));
            format!("<?cursor={cursor}&limit={limit}>; rel=\"next\"")
        });
        Ok(Page { items, next })
    }
}

/// A time in a key: as text it orders as times do.
pub(crate) fn stamp(at: bson::DateTime) -> String {
    format!("{:016x}.", at.timestamp_millis().wrapping_sub(i64::MIN).cast_unsigned())
}

fn read_cursor(text: &str) -> Result<String, ApiError> {
    let bad = || ApiError::bad_request("the cursor is not one that a page gave: begin again without a cursor");
    if text.len() > KEY_BYTES_MAX * 2 {
        return Err(bad());
    }
    String::from_utf8(hex::decode(text).map_err(|_| bad())?).map_err(|_| bad())
}

impl<T> Page<T> {
    /// The same page of what is made of the elements.
    pub(crate) fn map<U>(self, view: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(view).collect(), next: self.next }
    }

    /// The elements, and what is left of the page to give them back into.
    pub(crate) fn take(self) -> (Vec<T>, Page<()>) {
        (self.items, Page { items: Vec::new(), next: self.next })
    }
}

impl Page<()> {
    /// The page with what was made of its elements.
    pub(crate) fn of<U>(self, items: Vec<U>) -> Page<U> {
        Page { items, next: self.next }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        if let Some(link) = self.next.and_then(|next| HeaderValue::from_str(&next).ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn pages(order: Order, limit: usize) -> Vec<Vec<u32>> {
        let mut query = PageQuery { cursor: None, limit: Some(limit) };
        let mut out = Vec::new();
        for _ in 0..10 {
            let page = query.cut(vec![3, 1, 5, 2, 4], order, ToString::to_string).unwrap();
            out.push(page.items);
            let Some(next) = page.next else { return out };
            query.cursor = Some(next.split(['=', '&']).nth(1).unwrap().to_owned());
        }
        panic!("the pages do not end: {out:?}");
    }

    #[test]
    fn every_element_is_on_one_page() {
        assert_eq!(pages(Order::Up, 2), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(pages(Order::Down, 2), [vec![5, 4], vec![3, 2], vec![1]]);
        assert_eq!(pages(Order::Up, 5), [vec![1, 2, 3, 4, 5]]);
        assert_eq!(pages(Order::Up, 0).len(), 5, "a page is not empty");
    }

    #[test]
    fn what_went_in_between_hides_nothing() {
        let first = PageQuery { cursor: None, limit: Some(2) };
        let page = first.cut(vec![1, 2, 3], Order::Up, ToString::to_string).unwrap();
        let cursor = page.next.unwrap().split(['=', '&']).nth(1).unwrap().to_owned();
        let second = PageQuery { cursor: Some(cursor), limit: None };
        assert_eq!(second.cut(vec![1, 3], Order::Up, ToString::to_string).unwrap().items, [3]);
        for bad in ["zz", "1"] {
            let query = PageQuery { cursor: Some(bad.into()), limit: None };
            assert!(query.cut(vec![1], Order::Up, ToString::to_string).is_err(), "{bad}");
        }
    }
}
