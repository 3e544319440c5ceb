//! A bounded memo of decoded nodes: two generations, so that what was used lately survives without bookkeeping per use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::BlockId;
use crate::tree::Node;

/// Nodes in one generation, at most: two generations of full nodes are about 25 MB.
const GENERATION_NODES: usize = 256;

#[derive(Default)]
pub(crate) struct Memo(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<BlockId, Arc<Node>>,
    old: HashMap<BlockId, Arc<Node>>,
}

impl Memo {
    pub(crate) fn get(&self, id: BlockId) -> Option<Arc<Node>> {
        let mut memo = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = memo.young.get(&id) {
            return Some(node.clone());
        }
        let node = memo.old.remove(&id)?;
        memo.put(id, node.clone());
        Some(node)
    }

    pub(crate) fn put(&self, id: BlockId, node: Arc<Node>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(id, node);
    }
}

impl Generations {
    fn put(&mut self, id: BlockId, node: Arc<Node>) {
        if self.young.len() >= GENERATION_NODES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, node);
    }
}
