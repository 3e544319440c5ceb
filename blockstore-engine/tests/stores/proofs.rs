//! A failed proof of packs: a torn pack and a lost one do not say which blocks they held, and yet the next attempt stores them anew.

use std::fs;

use super::{directory, packs, to_packs};
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_torn_and_lost_packs_are_stored_anew_after_a_failed_proof() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    bed.put("file", &Random(75).bytes(16 << 20));
    let mut writer = bed.writer(None).await;
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    assert!(writer.verify_new().await.unwrap().is_good());
    let all = packs(dir.path());
    assert!(all.len() >= 3, "{all:?}");
    let torn = fs::read(&all[0]).unwrap();
    fs::write(&all[0], &torn[..torn.len() / 2]).unwrap();
    fs::remove_file(&all[1]).unwrap();
    assert!(!writer.verify_new().await.unwrap().is_good());
    assert!(writer.commit(commit()).await.is_err(), "it is known to be bad");
    writer.abandon().await.unwrap();

    let root = bed.snapshot(None).await;
    assert!(root.new_bytes > 0);
    let report = bed.store.reader(root.clone()).verify(quiet()).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert!(bed.restored(&root).await == tree(&bed.source()));
}
