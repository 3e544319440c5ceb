//! Random operations against a model in memory: snapshots, trash, pins, runs of the collector (killed ones too), damage and repair, reopening;
//! the same with faults of the database injected at every call of the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::*;
use blockstore_engine::{Blockstore, CollectOptions, EngineOptions, Pin, Root, RootId, Stops};
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use tokio_util::sync::CancellationToken;

type Files = BTreeMap<String, (u32, Vec<u8>)>;

struct Kept {
    root: Root,
    files: Files,
    trashed: bool,
    pinned: bool,
}

struct Model {
    bed: Bed,
    /// What the store is opened on: the model's own questions go past the faults.
    store_db: Database,
    random: Random,
    kept: BTreeMap<RootId, Kept>,
    log: Vec<String>,
}

impl Model {
    fn new(bed: Bed, seed: u64) -> Self {
        let store_db = bed.db.clone();
        let mut model =
            Self { bed, store_db, random: Random(seed), kept: BTreeMap::new(), log: vec![format!("seed {seed}")] };
        model.change_files();
        model
    }

    async fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step().await;
        }
    }

    /// At the end, with nobody else about.
    async fn check(&mut self) {
        self.compare_all().await;
        // What a killed run left is finished by one, what became garbage in its epoch goes with the next.
        self.collect(None).await;
        self.collect(None).await;
        self.compare_all().await;
        self.bed.check_all().await;
    }

    fn pick(&mut self, wanted: impl Fn(&Kept) -> bool) -> Option<RootId> {
        let ids: Vec<_> = self.kept.iter().filter(|(_, kept)| wanted(kept)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[usize::try_from(self.random.below(ids.len() as u64)).unwrap()])
    }

    fn change_files(&mut self) {
        for _ in 0..=self.random.below(3) {
            let name = format!("f{}", self.random.below(5));
            // Few distinct contents, so that blocks come back after they were garbage.
            let (seed, blocks, tail) = (self.random.below(6), self.random.below(12), self.random.below(3));
            let mut content = Random(100 + seed)
                .bytes(usize::try_from(blocks).unwrap() * BLOCK + [0, 1, 777][usize::try_from(tail).unwrap()]);
            if self.random.below(4) == 0 {
                let half = content.len() / 2;
                content[..half].fill(0);
            }
            self.bed.put(&name, &content);
        }
        if self.random.below(4) == 0 {
            let _ = std::fs::remove_file(self.bed.source().join(format!("f{}", self.random.below(5))));
        }
    }

    async fn step(&mut self) {
        let operation = self.random.below(14);
        self.log.push(format!("{operation}"));
        let store = self.bed.store.clone();
        match operation {
            0..=3 => {
                self.change_files();
                let parent = if self.random.below(3) == 0 { None } else { self.pick(|kept| !kept.trashed) };
                let parent = parent.map(|id| self.kept[&id].root.clone());
                let root = self.bed.snapshot(parent.as_ref()).await;
                let files = tree(&self.bed.source());
                self.kept.insert(root.id, Kept { root, files, trashed: false, pinned: false });
            }
            4 => {
                // A writer that gives up after it stored things.
                let mut writer = self.bed.writer(None).await;
                let content = Random(200 + self.random.below(3)).bytes(5 * BLOCK);
                writer.add_file("x", 0o600, content).await.unwrap();
                writer.verify_new().await.unwrap();
                writer.abandon().await.unwrap();
            }
            5 | 6 => {
                if let Some(id) = self.pick(|kept| !kept.trashed) {
                    let pinned = self.kept[&id].pinned;
                    assert_eq!(store.trash(&id, &|_| Ok(())).await.is_ok(), !pinned);
                    self.kept.get_mut(&id).unwrap().trashed = !pinned;
                }
            }
            7 => {
                if let Some(id) = self.pick(|kept| kept.trashed) {
                    store.untrash(&id).await.unwrap();
                    self.kept.get_mut(&id).unwrap().trashed = false;
                }
            }
            8 => {
                if let Some(id) = self.pick(|_| true) {
                    let kept = self.kept.get_mut(&id).unwrap();
                    if kept.pinned {
                        store.unpin(&id, "model").await.unwrap();
                        kept.pinned = false;
                    } else {
                        let pinned = store.pin(&id, Pin { by: "model".into(), until: None }).await.is_ok();
                        assert_eq!(pinned, !kept.trashed);
                        kept.pinned = pinned;
                    }
                }
            }
            9 => self.collect(None).await,
            10 => {
                let at = self.random.below(25);
                self.collect(Some(at)).await;
            }
            11 => {
                self.bed.store = Blockstore::open(self.store_db.clone(), EngineOptions::default()).await.unwrap();
            }
            12 => self.damage().await,
            _ => {
                if let Some(id) = self.pick(|_| true) {
                    self.compare(id).await;
                }
            }
        }
    }

    /// Runs the collector to its end, or kills it at a step.
    async fn collect(&mut self, killed_at: Option<u64>) {
        let options = CollectOptions { mark_bytes: 1 << 10, take_over_after: Duration::from_millis(50), ..eager() };
        let Some(at) = killed_at else {
            let before =
                self.bed.store.plan_collect(&options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
            let gc = self.bed.db.collection::<Document>("gc");
            let left_over = gc.find_one(doc! { "_id": "run", "state": { "$exists": true } }).await.unwrap();
            let is_resumed = left_over.is_some();
            let report = self.bed.try_collect(&options).await.unwrap();
            assert_eq!(report.unlinked, before.unlink);
            // Blocks of the epoch that a killed run began are left for the next one.
            if !is_resumed {
                assert_eq!(report.deleted, before.reclaimable);
            }
            let due: Vec<_> = self.kept.iter().filter(|(_, kept)| kept.trashed).map(|(id, _)| *id).collect();
            let mut unlinked = report.unlinked.clone();
            unlinked.sort();
            assert_eq!(unlinked, due);
            self.kept.retain(|_, kept| !kept.trashed);
            return;
        };
        let count = AtomicU64::new(0);
        let (kill, killed) = tokio::sync::oneshot::channel();
        let kill = std::sync::Mutex::new(Some(kill));
        let stops: Stops = Arc::new(move |step| {
            if !step.starts_with("run: ") || count.fetch_add(1, Relaxed) < at {
                return Box::pin(async {});
            }
            if let Some(kill) = kill.lock().unwrap().take() {
                let _ = kill.send(());
            }
            Box::pin(std::future::pending())
        });
        let store = self.bed.store.with_stops(stops);
        tokio::select! {
            report = store.collect(&options, Arc::new(|_| {}), CancellationToken::new()) => { report.unwrap(); }
            _ = killed => {}
        }
        let there: Vec<_> = self.bed.store.all_roots().await.unwrap().into_iter().map(|root| root.id).collect();
        self.kept.retain(|id, kept| there.contains(id) || !kept.trashed);
    }

    /// Destroys a payload, finds it by verification, repairs it from the folder of the snapshot that names it.
    async fn damage(&mut self) {
        let Some(id) =
            self.pick(|kept| !kept.trashed && kept.files.values().any(|(_, bytes)| bytes.iter().any(|b| *b != 0)))
        else {
            return;
        };
        let reader = self.bed.store.reader(self.kept[&id].root.clone());
        let mut tops = Vec::new();
        for entry in reader.files().await.unwrap().iter() {
            tops.extend(entry.top);
        }
        let top = tops[usize::try_from(self.random.below(tops.len() as u64)).unwrap()];
        let row = self
            .bed
            .db
            .collection::<Document>("blocks")
            .find_one(doc! { "_id": top.to_bson() })
            .await
            .unwrap()
            .unwrap();
        let payloads = self.bed.db.collection::<Document>("payloads");
        payloads.delete_one(doc! { "_id": row.get("at").unwrap() }).await.unwrap();
        let check = self.bed.store.verify_snapshot(&id, quiet(), CancellationToken::new()).await.unwrap();
        assert!(check.report.bad.iter().any(|bad| bad.id == Some(top)), "{:?}", check.report);
        let named = self.bed.store.snapshots_of(&[top], CancellationToken::new()).await.unwrap();
        let contents: BTreeMap<_, _> = named[&top].iter().map(|id| (*id, self.kept[id].files.clone())).collect();
        assert!(contents.contains_key(&id));
        // Any snapshot that needs the block has its content somewhere.
        let source: blockstore_engine::RepairSource = Arc::new(move |path, offset, len| {
            let offset = usize::try_from(offset).unwrap();
            let found = contents.values().rev().find_map(|files| files.get(path)?.1.get(offset..offset + len));
            found.map(<[u8]>::to_vec).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        });
        let mut report = self.bed.store.repair(Some(source), CancellationToken::new()).await.unwrap();
        if !report.left.is_empty() {
            // Several snapshots have another file under that path: each alone will do.
            for kept in self.kept.values().filter(|kept| named[&top].contains(&kept.root.id)) {
                let dir = tempfile::tempdir().unwrap();
                for (path, (_, bytes)) in &kept.files {
                    std::fs::write(dir.path().join(path), bytes).unwrap();
                }
                let source = blockstore_engine::verify::directory(dir.path().to_owned());
                report = self.bed.store.repair(Some(source), CancellationToken::new()).await.unwrap();
                if report.left.is_empty() {
                    break;
                }
            }
        }
        assert_eq!(report.left, []);
        assert_eq!(report.touched, []);
    }

    async fn compare(&self, id: RootId) {
        let kept = &self.kept[&id];
        assert!(self.bed.restored(&kept.root).await == kept.files, "snapshot {id} after {:?}", self.log);
    }

    async fn compare_all(&self) {
        let there: Vec<_> = self.bed.store.all_roots().await.unwrap();
        assert_eq!(there.len(), self.kept.len(), "after {:?}", self.log);
        for root in &there {
            let kept = &self.kept[&root.id];
            assert_eq!((root.trashed_at.is_some(), root.pins.len()), (kept.trashed, usize::from(kept.pinned)));
            assert!(!root.quarantined);
            self.compare(root.id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_a_model() {
    for seed in [1, 2, 3] {
        let bed = bed().await;
        let mut model = Model::new(bed, seed);
        model.run(60).await;
        model.check().await;
    }
}

/// Every call may fail: with an error that passes, or with a connection that closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_a_model_whatever_call_fails() {
    let start = || Server::start_with(&[("enableTestCommands", "1")]);
    let server = Arc::new(tokio::task::spawn_blocking(start).await.unwrap());
    let mut options = ClientOptions::parse(server.uri()).await.unwrap();
    options.app_name = Some("store".into());
    // The driver's own retries would hide most faults.
    (options.retry_reads, options.retry_writes) = (Some(false), Some(false));
    let client = Client::with_options(options).unwrap();
    for seed in [4, 5] {
        let bed = bed_on(server.clone(), EngineOptions::default()).await;
        let admin = bed.db.client().database("admin");
        let mut model = Model::new(bed, seed);
        model.store_db = client.database(model.bed.db.name());
        model.bed.store = Blockstore::open(model.store_db.clone(), EngineOptions::default()).await.unwrap();
        let commands = [
            "find",
            "insert",
            "update",
            "delete",
            "findAndModify",
            "aggregate",
            "count",
            "getMore",
            "commitTransaction",
            "abortTransaction",
            "create",
            "createIndexes",
            "collStats",
        ];
        let count = |answer: &Document| {
            answer.get("count").and_then(|n| n.as_i64().or(n.as_i32().map(i64::from))).expect("a count of faults")
        };
        let mut faults = 0;
        for round in 0..12 {
            let mut data = doc! { "failCommands": commands.to_vec(), "appName": "store" };
            if round % 2 == 0 {
                data.insert("closeConnection", true);
            } else {
                data.insert("errorCode", 11602);
            }
            let mode = doc! { "activationProbability": 0.1 };
            let arm = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
            faults -= count(&admin.run_command(arm).await.unwrap());
            model.run(4).await;
            let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
            faults += count(&admin.run_command(off).await.unwrap());
        }
        assert!(faults > 20, "{faults} calls failed");
        model.check().await;
    }
}
