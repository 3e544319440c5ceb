//! What a writer saw of a document before changing it: with that said, nothing is written over what someone else wrote since.
//!
//! A document that people change counts its changes in `rev`. One that nobody changed yet, or that is not there, is at revision 0. What is
//! taken away leaves its count, so that no count is used twice. A writer who says nothing changes it whatever was written before.

use bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

/// Field with the count.
pub(crate) const REV: &str = "rev";

/// The revisions at which a writer will have it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<Vec<i64>>);

impl Seen {
    /// At any.
    pub const ANY: Self = Self(None);

    /// At one of these alone.
    #[must_use]
    pub const fn at(revisions: Vec<i64>) -> Self {
        Self(Some(revisions))
    }

    /// True when a document at this revision may be changed.
    #[must_use]
    pub fn allows(&self, revision: i64) -> bool {
        self.0.as_ref().is_none_or(|all| all.contains(&revision))
    }

    /// Adds what the document's count must be to a filter.
    pub(crate) fn narrow(&self, which: &mut Document, field: &str) {
        let Some(revisions) = &self.0 else { return };
        let mut allowed: Vec<Bson> = revisions.iter().copied().map(Bson::Int64).collect();
        if self.allows(0) {
            // Documents that nobody changed yet have no count.
            allowed.push(Bson::Null);
        }
        which.insert(field, doc! { "$in": allowed });
    }
}

/// The count of a document as it was read.
pub(crate) fn rev_of(found: Option<&Document>) -> i64 {
    found.and_then(|doc| doc.get_i64(REV).ok()).unwrap_or(0)
}

impl MetaDb {
    /// Changes the document that `which` finds, or makes it, if it is at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// [`MetaError::Changed`], [`MetaError::Database`].
    pub(crate) async fn put_seen(
        &self,
        op: &'static str,
        collection: &str,
        which: Document,
        seen: &Seen,
        set: Document,
    ) -> Result<i64, MetaError> {
        let mut filter = which;
        seen.narrow(&mut filter, REV);
        let update = doc! { "$set": set, "$inc": { REV: 1_i64 } };
        let documents = self.of::<Document>(collection);
        // A document that is not there is at revision 0.
        let put = documents
            .find_one_and_update(filter, update)
            .upsert(seen.allows(0))
            .return_document(ReturnDocument::After)
            .projection(doc! { REV: 1 });
        match put.await {
            Ok(Some(after)) => Ok(rev_of(Some(&after))),
            Ok(None) => Err(MetaError::Changed),
            // It is there, at another revision, so that it was to be made anew; or two made it at once.
            Err(error) if duplicate(&error) => Err(MetaError::Changed),
            Err(error) => Err(on(op)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_at_zero() {
        let narrowed = |seen: Seen| {
            let mut filter = doc! { "_id": "x" };
            seen.narrow(&mut filter, REV);
            filter
        };
        assert_eq!(narrowed(Seen::ANY), doc! { "_id": "x" });
        assert_eq!(narrowed(Seen::at(vec![3])), doc! { "_id": "x", "rev": { "$in": [3_i64] } });
        assert_eq!(narrowed(Seen::at(vec![0])), doc! { "_id": "x", "rev": { "$in": [0_i64, null] } });
        assert!(Seen::ANY.allows(7) && Seen::at(vec![1, 2]).allows(2) && !Seen::at(vec![1]).allows(0));
        assert_eq!((rev_of(None), rev_of(Some(&doc! { "rev": 4_i64 }))), (0, 4));
    }
}
