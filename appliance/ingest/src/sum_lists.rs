//! Finished lists of sums, kept for the next one who asks: making one reads every byte of the restore.
//!
//! A list is of raw contents, so one serves every format of its snapshot, and it never changes. Only a list that was made to its end is
//! kept. Expendable, and bounded in bytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use blockstore_engine::RootId;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};

/// All lists together, in bytes: of about 300,000 files.
const LISTS_BYTES_MAX: usize = 32 << 20;
/// A longer list is not kept, in bytes.
const LIST_BYTES_MAX: usize = LISTS_BYTES_MAX / 2;

/// The most recently made lists, the newest at the back.
#[derive(Clone, Default)]
pub(crate) struct SumLists {
    held: Arc<Mutex<VecDeque<(RootId, Bytes)>>>,
}

impl SumLists {
    /// The list of this snapshot, if it was made lately.
    pub(crate) fn get(&self, root: &RootId) -> Option<Bytes> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(of, _)| of == root).map(|(_, list)| list.clone())
    }

    fn keep(&self, root: RootId, list: Bytes) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(of, _)| *of != root);
        held.push_back((root, list));
        while held.iter().map(|(_, list)| list.len()).sum::<usize>() > LISTS_BYTES_MAX {
            held.pop_front();
        }
    }

    /// Passes the lines on and keeps them when all have passed without an error.
    pub(crate) fn keeping<E>(
        &self,
        root: RootId,
        lines: impl Stream<Item = Result<String, E>> + Send + Unpin + 'static,
    ) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static
    where
        E: Send + 'static,
    {
        let (lists, kept) = (self.clone(), Some(BytesMut::new()));
        stream::unfold((lines, lists, kept), move |(mut lines, lists, mut kept)| async move {
            match lines.next().await {
                Some(Ok(line)) => {
                    let line = Bytes::from(line);
                    kept = kept.filter(|so_far| so_far.len() + line.len() <= LIST_BYTES_MAX).map(|mut so_far| {
                        so_far.extend_from_slice(&line);
                        so_far
                    });
                    Some((Ok(line), (lines, lists, kept)))
                }
                Some(Err(error)) => Some((Err(error), (lines, lists, None))),
                None => {
                    if let Some(list) = kept {
                        lists.keep(root, list.freeze());
                    }
                    None
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(lists: &SumLists, root: RootId, lines: Vec<Result<String, &'static str>>) -> usize {
        lists.keeping(root, stream::iter(lines)).count().await
    }

    #[tokio::test]
    async fn whole_lists_are_kept_broken_and_huge_ones_are_not() {
        let lists = SumLists::default();
        let [whole, broken, huge] = [RootId::random(), RootId::random(), RootId::random()];
        assert_eq!(pass(&lists, whole, vec![Ok("a\n".into()), Ok("b\n".into())]).await, 2);
        assert_eq!(pass(&lists, broken, vec![Ok("a\n".into()), Err("cut")]).await, 2);
        assert_eq!(pass(&lists, huge, vec![Ok("x".repeat(LIST_BYTES_MAX)), Ok("y".into())]).await, 2);
        assert_eq!(lists.get(&whole).as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!((lists.get(&broken), lists.get(&huge)), (None, None));
        let later = [RootId::random(), RootId::random()];
        for root in later {
            pass(&lists, root, vec![Ok("z".repeat(LIST_BYTES_MAX))]).await;
        }
        assert_eq!(lists.get(&whole), None, "the oldest goes first");
        assert!(later.iter().all(|root| lists.get(root).is_some()));
    }
}
