//! A whole run: sizes in ascending order; at each, rounds of full backups, incremental ones after churn, restores, by every tool in turn.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use blockstore_engine::ranges::file_system;
use holdfast_bench::corpus::{Churn, Corpus};
use holdfast_bench::engine::Place;
use holdfast_bench::measure::{self, Cost, bytes_below, free_bytes};
use holdfast_bench::peers::Peer;
use holdfast_bench::report::{Report, Row, median};
use holdfast_bench::{server, synthetic};
use holdfast_mongod::Mongod;
use mongodb::bson::doc;

const ENGINE: &str = "engine, packs";
const ENGINE_MONGO: &str = "engine, MongoDB";
const ENGINE_CLONES: &str = "engine, packs, reflink";
const GB: u64 = 1_000_000_000;
/// Disk that the servers' journals and oplogs take beside what is measured.
const SPARE_BYTES: u64 = 4 * GB;
/// Bytes of the index and the nodes of one synthetic block, indexes and journal included (measured: about 170).
const SYNTHETIC_BLOCK_BYTES: u64 = 260;

struct Settings {
    dir: PathBuf,
    /// Where the corpus lies: on XFS or btrfs the engine's clones are measured too.
    corpus_dir: Option<PathBuf>,
    sizes_gb: Vec<f64>,
    /// Sizes up to this one meet the other tools and MongoDB payloads.
    peers_gb: f64,
    rounds: usize,
    synthetic_blocks: u64,
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Ok(text) => text.parse().ok().with_context(|| format!("{name} is {text:?}, which is no number")),
        Err(_) => Ok(default),
    }
}

impl Settings {
    fn read() -> Result<Self> {
        let dir = env::var_os("HOLDFAST_BENCH_DIR").map(PathBuf::from).context("HOLDFAST_BENCH_DIR names a folder")?;
        let sizes = env::var("HOLDFAST_BENCH_GB").unwrap_or_else(|_| "1 4 12".into());
        let mut sizes_gb: Vec<f64> = sizes
            .split_whitespace()
            .map(|text| text.parse().with_context(|| format!("HOLDFAST_BENCH_GB holds {text:?}")))
            .collect::<Result<_>>()?;
        sizes_gb.sort_by(f64::total_cmp);
        ensure!(sizes_gb.iter().all(|gb| *gb >= 0.1), "sizes are at least 0.1 GB");
        Ok(Self {
            dir,
            corpus_dir: env::var_os("HOLDFAST_BENCH_CORPUS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            sizes_gb,
            peers_gb: number("HOLDFAST_BENCH_PEERS_GB", 4.0)?,
            rounds: number("HOLDFAST_BENCH_ROUNDS", 3)?,
            synthetic_blocks: number("HOLDFAST_BENCH_SYNTHETIC_BLOCKS", 9_600_000)?,
        })
    }

    /// Refuses in a sentence when the disk is too small.
    fn check_disk(&self) -> Result<()> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are small and positive")]
        let needed = self.sizes_gb.iter().map(|gb| {
            // Source, packs, a restore; with the peers their three repositories and a copy in MongoDB, which writes some of it twice.
            let copies = if *gb <= self.peers_gb { 8.5 } else { 3.2 };
            (gb * copies * 1e9) as u64 + SPARE_BYTES
        });
        let synthetic = self.synthetic_blocks * SYNTHETIC_BLOCK_BYTES + SPARE_BYTES;
        let needed = needed.max().unwrap_or(0).max(synthetic);
        let free = free_bytes(&self.dir)?;
        if free < needed {
            bail!(
                "this run needs {:.0} GB of free disk below {}, and {:.0} GB are free: choose smaller sizes (HOLDFAST_BENCH_GB) \
                 or another folder (HOLDFAST_BENCH_DIR)",
                needed as f64 / 1e9,
                self.dir.display(),
                free as f64 / 1e9
            );
        }
        Ok(())
    }
}

struct Bench {
    settings: Settings,
    report: Report,
    index: Mongod,
    /// Databases so far: every store is new.
    stores: u32,
    /// Where clones of the corpus may be made.
    clones: Option<PathBuf>,
}

pub(crate) async fn run() -> Result<()> {
    let settings = Settings::read()?;
    fs::create_dir_all(&settings.dir)?;
    settings.check_disk()?;
    let scratch = tempfile::Builder::new().prefix("run.").tempdir_in(&settings.dir)?;
    let settings = Settings { dir: scratch.path().to_owned(), ..settings };
    let index = server::index(&settings.dir.join("index"), 1.0).await?;
    let mut bench = Bench { settings, report: Report::default(), index, stores: 0, clones: None };
    let done = bench.all().await;
    println!("{}", bench.report.text());
    server::stop(bench.index).await?;
    done
}

impl Bench {
    async fn all(&mut self) -> Result<()> {
        let home = self.settings.corpus_dir.clone().unwrap_or_else(|| self.settings.dir.clone());
        let mut corpus = Corpus::new(&home, 1)?;
        // The daemon's own test of a folder: can it make clones there?
        self.clones = file_system(&home)?.finds_changes().then(|| home.join("clones"));
        let mut growth = Vec::new();
        for gb in self.settings.sizes_gb.clone() {
            eprintln!("== corpus of {gb} GB");
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            corpus.grow((gb * 1e9) as u64).await?;
            let bytes = corpus.bytes()?;
            self.size(&mut corpus, bytes, gb <= self.settings.peers_gb).await?;
            growth.push(bytes);
        }
        self.growth(&growth);
        if self.settings.synthetic_blocks > 0 {
            self.synthetic().await?;
        }
        Ok(())
    }

    /// All work at one size, which `bytes` names in the report.
    async fn size(&mut self, corpus: &mut Corpus, bytes: u64, with_peers: bool) -> Result<()> {
        let source = corpus.dbpath.clone();
        let peers: &[Peer] = if with_peers { &Peer::ALL } else { &[] };
        let rounds = if with_peers { self.settings.rounds } else { 1 };
        let mut packs = self.place(true);
        let mut mongo = self.place(false);
        let mut cloned = self.place(true);
        for round in 0..rounds {
            measure::warm(&source)?;
            for peer in peers {
                peer.prepare(&self.settings.dir)?;
            }
            // Whoever comes first meets the quieter disk: so not always the same.
            let first = round % 2 == 0;
            if first {
                packs = self.fresh(packs, true).await?;
                self.backup(&packs, bytes, &source, "full", ENGINE)?;
            }
            for peer in peers {
                self.peer_backup(*peer, bytes, &source, "full", "s1")?;
            }
            if !first {
                packs = self.fresh(packs, true).await?;
                self.backup(&packs, bytes, &source, "full", ENGINE)?;
            }
            if with_peers {
                mongo = self.fresh(mongo, false).await?;
                self.backup(&mongo, bytes, &source, "full", ENGINE_MONGO)?;
                self.insert_alone(&mongo, bytes)?;
            }
        }
        if let Some(clones) = self.clones.clone() {
            if clones.exists() {
                fs::remove_dir_all(&clones)?;
            }
            cloned = self.fresh(cloned, true).await?;
            self.clone_backup(&cloned, bytes, &source, "full")?;
        }
        for (round, (work, churn)) in churns(rounds).into_iter().enumerate() {
            corpus.churn(churn).await?;
            measure::warm(&source)?;
            for peer in peers {
                self.peer_backup(*peer, bytes, &source, work, &format!("s{}", round + 2))?;
            }
            self.backup(&packs, bytes, &source, work, ENGINE)?;
            self.clone_backup(&cloned, bytes, &source, work)?;
        }
        let last = format!("s{}", churns(rounds).len() + 1);
        for _ in 0..rounds {
            self.restores(peers, &packs, bytes, &last)?;
        }
        self.reading(&packs, bytes)?;
        self.targets(bytes, with_peers);
        self.drop_store(&packs).await?;
        self.drop_store(&mongo).await?;
        self.drop_store(&cloned).await?;
        for peer in peers {
            fs::remove_dir_all(peer.repository(&self.settings.dir))?;
        }
        Ok(())
    }

    fn place(&mut self, in_packs: bool) -> Place {
        self.stores += 1;
        let name = format!("store{}", self.stores);
        let dir = self.settings.dir.join(&name);
        Place {
            uri: self.index.set_uri().unwrap_or_default(),
            packs: in_packs.then(|| dir.join("packs")),
            cache: Some(dir.join("cache")),
            db: name,
        }
    }

    async fn fresh(&mut self, old: Place, in_packs: bool) -> Result<Place> {
        self.drop_store(&old).await?;
        let place = self.place(in_packs);
        fs::create_dir_all(self.settings.dir.join(&place.db))?;
        // Collections and indexes are made once in a store's life.
        drop(Place { cache: None, ..place.clone() }.open().await?);
        Ok(place)
    }

    async fn drop_store(&self, place: &Place) -> Result<()> {
        place.database().await?.drop().await?;
        let dir = self.settings.dir.join(&place.db);
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        Ok(())
    }

    fn op(&self, name: &str, place: &Place, rest: &[&Path]) -> Result<(Cost, String)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["op", name]).args(place.arguments()).args(rest);
        measure::run(&command, Some(self.index.pid()), &self.settings.dir)
    }

    fn backup(&mut self, place: &Place, bytes: u64, source: &Path, work: &str, tool: &str) -> Result<()> {
        let (cost, said) = self.op("backup", place, &[source])?;
        let stored = match &place.packs {
            Some(packs) => bytes_below(packs)?,
            None => {
                said.split_whitespace().nth(2).and_then(|text| text.parse().ok()).context("bytes that were stored")?
            }
        };
        self.add(bytes, work, tool, cost, Some(stored));
        Ok(())
    }

    /// Where clones can be made; elsewhere nothing.
    fn clone_backup(&mut self, place: &Place, bytes: u64, source: &Path, work: &str) -> Result<()> {
        let (Some(clones), Some(packs)) = (self.clones.clone(), &place.packs) else { return Ok(()) };
        let (cost, said) = self.op("clone-backup", place, &[source, &clones])?;
        let numbers: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [_, new, _, read] = numbers[..] else { bail!("the engine said {said:?}") };
        eprintln!("  read {read} bytes, of which {new} in new blocks");
        self.add(bytes, work, ENGINE_CLONES, cost, Some(bytes_below(packs)?));
        Ok(())
    }

    fn peer_backup(&mut self, peer: Peer, bytes: u64, source: &Path, work: &str, name: &str) -> Result<()> {
        let (cost, _) = measure::run(&peer.backup(&self.settings.dir, source, name), None, &self.settings.dir)?;
        let stored = bytes_below(&peer.repository(&self.settings.dir))?;
        self.add(bytes, work, peer.name(), cost, Some(stored));
        Ok(())
    }

    fn insert_alone(&mut self, place: &Place, bytes: u64) -> Result<()> {
        let (cost, said) = self.op("insert-alone", place, &[])?;
        // Only the inserts count, not the reading of what is inserted.
        let wall = said.trim().parse().context("seconds")?;
        self.add(bytes, "full", "the same inserts alone", Cost { wall, ..cost }, None);
        Ok(())
    }

    fn restores(&mut self, peers: &[Peer], packs: &Place, bytes: u64, name: &str) -> Result<()> {
        let out = self.settings.dir.join("out");
        let plain = Place { cache: None, ..packs.clone() };
        let (cost, _) = self.op("restore", &plain, &[&out])?;
        self.add(bytes, "restore", ENGINE, cost, None);
        fs::remove_dir_all(&out)?;
        for peer in peers {
            fs::create_dir_all(&out)?;
            let (cost, _) = measure::run(&peer.restore(&self.settings.dir, &out, name), None, &self.settings.dir)?;
            self.add(bytes, "restore", peer.name(), cost, None);
            fs::remove_dir_all(&out)?;
        }
        Ok(())
    }

    fn reading(&mut self, packs: &Place, bytes: u64) -> Result<()> {
        let plain = Place { cache: None, ..packs.clone() };
        for (name, work) in [("stream", "tar.zst stream"), ("verify", "verify a snapshot")] {
            let (cost, _) = self.op(name, &plain, &[])?;
            self.add(bytes, work, ENGINE, cost, None);
        }
        Ok(())
    }

    fn add(&mut self, source_bytes: u64, work: &str, tool: &str, cost: Cost, stored_bytes: Option<u64>) {
        let (work, tool) = (work.to_owned(), tool.to_owned());
        self.report.row(Row { source_bytes, work, tool, cost, stored_bytes });
    }

    /// The lines of the table of targets in the engine's design.
    fn targets(&mut self, bytes: u64, with_peers: bool) {
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let gb = bytes as f64 / 1e9;
        let at = |name: &str| format!("{name}-{gb:.1}gb");
        let wall: fn(&Cost) -> f64 = |cost| cost.wall;
        let cpu: fn(&Cost) -> f64 = |cost| cost.cpu;
        let borg = Peer::Borg.name();
        let report = &mut self.report;
        let per_gb = |costs: Vec<Cost>| {
            let each: Vec<f64> = costs.iter().map(|cost| cost.cpu / gb).collect();
            (!each.is_empty()).then(|| median(&each))
        };
        if with_peers {
            let paired = |report: &Report, work, of| report.paired(bytes, work, [ENGINE, borg], of);
            let (full_wall, full_cpu) = (paired(report, "full", wall), paired(report, "full", cpu));
            report.ratio(&at("full-wall-of-borg"), full_wall, 0.45);
            report.ratio(&at("full-cpu-of-borg"), full_cpu, 0.8);
            let incremental = paired(report, LOCAL, wall);
            report.ratio(&at("incremental-no-reflink-wall-of-borg"), incremental, 0.3);
            for (name, of) in [("wall", wall), ("cpu", cpu)] {
                let reflink = report.paired(bytes, LOCAL, [ENGINE_CLONES, borg], of);
                report.ratio(&at(&format!("incremental-reflink-{name}-of-borg")), reflink, 0.15);
            }
            let best = [Peer::Borg, Peer::Restic]
                .into_iter()
                .filter_map(|peer| report.paired(bytes, "restore", [ENGINE, peer.name()], wall))
                .reduce(f64::max);
            report.ratio(&at("restore-wall-of-best-peer"), best, 0.6);
            let inserts = report.paired(bytes, "full", [ENGINE_MONGO, "the same inserts alone"], wall);
            report.ratio(&at("full-into-mongodb-of-inserts-alone"), inserts, 1.3);
        }
        let scanned = per_gb(report.costs(bytes, LOCAL, ENGINE));
        report.ratio(&at("incremental-no-reflink-cpu-s-per-gb"), scanned, 0.5);
        let streamed = per_gb(report.costs(bytes, "tar.zst stream", ENGINE));
        report.ratio(&at("tar-zst-cpu-s-per-gb"), streamed, 0.3);
        let works = ["full", LOCAL, "restore", "tar.zst stream", "verify a snapshot"];
        let rss =
            works.iter().flat_map(|work| report.costs(bytes, work, ENGINE)).map(|cost| cost.rss_mb).reduce(f64::max);
        report.ratio(&at("engine-rss-mb"), rss, 268.0);
    }

    /// Cost per GB at the largest size against the smallest.
    fn growth(&mut self, sizes: &[u64]) {
        let [first, .., last] = sizes else { return };
        for work in ["full", LOCAL, "restore"] {
            #[allow(clippy::cast_precision_loss, reason = "for people")]
            let per_byte = |size: &u64| {
                let costs: Vec<f64> = self.report.costs(*size, work, ENGINE).iter().map(|cost| cost.cpu).collect();
                median(&costs) / *size as f64
            };
            let grown = per_byte(last) / per_byte(first);
            let name = format!("growth-of-cpu-per-gb-{}", work.replace([' ', ',', '.', '%'], "-"));
            self.report.ratio(&name, Some(grown), 1.15);
        }
    }

    /// Marking and collecting of a store as large as wanted.
    async fn synthetic(&mut self) -> Result<()> {
        let blocks = self.settings.synthetic_blocks;
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let scale = blocks as f64 / 153e6;
        eprintln!("== synthetic index of {blocks} blocks ({:.1} TB; {scale:.3} of 153 million)", scale * 10.0);
        let mongod = server::index(&self.settings.dir.join("synthetic"), 4.0).await?;
        let place = Place { uri: server::uri(&mongod)?, db: "synthetic".into(), packs: None, cache: None };
        drop(place.open().await?);
        let db = place.database().await?;
        let garbage = synthetic::Filler::new(db.clone()).fill(blocks).await?;
        db.client().database("admin").run_command(doc! { "fsync": 1 }).await?;
        let before = synthetic::rows(&db).await?;
        let mut command = Command::new(env::current_exe()?);
        command.args(["op", "collect"]).args(place.arguments());
        let (cost, said) = measure::run(&command, Some(mongod.pid()), &self.settings.dir)?;
        let left = synthetic::rows(&db).await?;
        let deleted: u64 = said.split_whitespace().nth(1).and_then(|text| text.parse().ok()).context("a count")?;
        ensure!(
            deleted == garbage && before - left == garbage,
            "{deleted} blocks were deleted, {garbage} were garbage"
        );
        self.add(blocks << 16, &format!("collect, {blocks} blocks"), "engine", cost, None);
        self.report.ratio(&format!("collect-rss-mb-{blocks}-blocks"), Some(cost.rss_mb), 268.0);
        server::stop(mongod).await?;
        fs::remove_dir_all(self.settings.dir.join("synthetic"))?;
        Ok(())
    }
}

const LOCAL: &str = "1.5 % local churn";

/// The states after the first: local churn as often as there are rounds, then two others.
fn churns(rounds: usize) -> Vec<(&'static str, Churn)> {
    let mut all = vec![(LOCAL, Churn::Local(15)); rounds];
    all.extend([("1 % uniform churn", Churn::Uniform(100)), ("10 % local churn", Churn::Local(100))]);
    all
}
