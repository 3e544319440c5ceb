//! A head that is killed at any moment goes on exactly.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bson::RawDocumentBuf;
use futures::future::BoxFuture;
use holdfast_tests::workload::{big_transaction, many_ops_transaction, rich};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    super::{
        applier::{Applier, Failed},
        *,
    },
    Lab, Oplog,
    steady::wrap,
};

/// Feeds all, and kills the head's server `kills` times, each time after a random part of `within`.
async fn feed_and_kill(lab: &Lab, name: &str, oplog: &Oplog, kills: u32, within: Duration) -> (Head, u32, u64) {
    let bytes = oplog.all();
    let mut head = lab.head(name).await;
    let (mut hits, mut inside) = (0, 0);
    for _ in 0..kills {
        let pid = Pid::from_raw(i32::try_from(head.mongod().pid()).unwrap());
        let after = within.mul_f64(rand::random());
        let killer = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            kill(pid, Signal::SIGKILL).unwrap();
        });
        let fed = head.apply(&bytes, None).await;
        if fed.is_ok() {
            killer.abort();
            break;
        }
        killer.await.unwrap();
        hits += 1;
        head.kill().await;
        head = lab.open(name).await;
        inside += u64::from(!head.position().at_boundary());
    }
    head.resume().await.unwrap();
    head.apply(&bytes, None).await.unwrap();
    (head, hits, inside)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_follows_every_kind_of_operation() {
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let oplog = lab.oplog().await;
    let (head, hits, _) = feed_and_kill(&lab, "h", &oplog, 4, Duration::from_millis(900)).await;
    println!("killed {hits} times");
    assert!(hits > 0, "no kill met a feed");
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_inside_large_transactions() {
    let lab = Lab::with_cache(8.0).await;
    many_ops_transaction(&lab.client(), 50_000).await.unwrap();
    big_transaction(&lab.client(), 200 << 20).await.unwrap();
    let oplog = lab.oplog().await;
    let (head, hits, inside) = feed_and_kill(&lab, "h", &oplog, 6, Duration::from_millis(2500)).await;
    println!("killed {hits} times, {inside} times inside a transaction");
    assert!(hits > 0, "no kill met a feed");
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

/// Loses the answer of some commands, done or not done.
#[derive(Debug)]
struct Lossy {
    inner: Box<dyn Applier>,
    count: AtomicU32,
}

impl Lossy {
    async fn maybe<'a>(&'a self, work: impl Future<Output = Result<(), Failed>> + Send + 'a) -> Result<(), Failed> {
        let lost = || Failed::Unknown(mongodb::error::Error::custom("answer lost by the test"));
        match self.count.fetch_add(1, Ordering::Relaxed) % 7 {
            3 => Err(lost()),
            5 => {
                work.await?;
                Err(lost())
            }
            _ => work.await,
        }
    }
}

impl Applier for Lossy {
    fn batch(&self, command: RawDocumentBuf) -> BoxFuture<'_, Result<(), Failed>> {
        Box::pin(self.maybe(self.inner.batch(command)))
    }

    fn alone<'a>(&'a self, op: &'a [u8], always_upsert: bool) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.maybe(self.inner.alone(op, always_upsert)))
    }

    fn create_indexes<'a>(
        &'a self,
        db: &'a str,
        collection: &'a str,
        uuid: Option<CollectionUuid>,
        specs: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.maybe(self.inner.create_indexes(db, collection, uuid, specs)))
    }

    fn version_collection<'a>(
        &'a self,
        create: &'a [u8],
        uuid: Option<CollectionUuid>,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.maybe(self.inner.version_collection(create, uuid)))
    }
}

/// Every seventh command is not done, every seventh is done and its answer lost: each command of the workload meets both over
/// the runs, since a resumed feed shifts the count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_have_no_effect() {
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let bytes = lab.oplog().await.all();
    for first in [0, 3] {
        let mut head = lab.head(&format!("h{first}")).await;
        wrap(&mut head, |inner| Box::new(Lossy { inner, count: AtomicU32::new(first) }));
        let mut lost = 0;
        while let Err(error) = head.apply(&bytes, None).await {
            assert_eq!(error.remedy(), Remedy::Again, "{error:?}");
            head.resume().await.unwrap();
            lost += 1;
            assert!(lost < 1000, "no progress");
        }
        println!("{lost} answers lost");
        assert!(lost > 20);
        assert_eq!(lab.diff(&head).await, Vec::<String>::new());
    }
}
