//! One round after the other: workers run beside each other and are killed, then what is there is compared with the model, and nothing but
//! that may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use blockstore_engine::{Blockstore, CollectError, CollectReport, ErrorClass, Root, SweepRequest};
use bson::{Document, doc};
use mongodb::Client;
use tokio_util::sync::CancellationToken;

use super::{JOBS, Target, collecting, files};
use crate::random::Random;
use crate::server;

/// How long workers run in a round.
const RUN: Duration = Duration::from_secs(30);
/// Longest time between two kills.
const KILL_WITHIN_MILLISECONDS: u64 = 1500;
/// At the end of a round nobody lives: registrations and leases end after this.
const EXPIRE_AT_REST: Duration = Duration::from_secs(5);
/// Attempts to get the lease of a killed run, a second apart.
const LEASE_ATTEMPTS_MAX: u32 = 60;
/// Stores are taken down and made anew after so many rounds, so that disks stay small.
const ROUNDS_PER_STORE: u64 = 200;

/// What the workers of one store have said.
#[derive(Debug, Default)]
struct Model {
    committed: BTreeSet<String>,
    trashed: BTreeSet<String>,
    counts: BTreeMap<String, u64>,
    blocks_freed: u64,
}

impl Model {
    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        *self.counts.entry(word.to_owned()).or_default() += 1;
        match word {
            "committed" => {
                self.committed.insert(rest.to_owned());
            }
            "trashing" => {
                self.trashed.insert(rest.to_owned());
            }
            "collected" => {
                self.blocks_freed += rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
            }
            "note" => eprintln!("  {rest}"),
            _ => {}
        }
    }
}

struct Worker {
    child: Child,
    role: &'static str,
    job: Option<&'static str>,
    ears: JoinHandle<()>,
}

/// A store, who works on it, what they said.
struct Field {
    target: Target,
    model: Arc<Mutex<Model>>,
    workers: Vec<Worker>,
    kills: u64,
}

impl Field {
    fn spawn(&mut self, role: &'static str, job: Option<&'static str>, seed: u64) -> Result<()> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["work", role]).args(self.target.arguments()).arg(seed.to_string()).args(job);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("its output is a pipe")?;
        let model = self.model.clone();
        let ears = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                model.lock().unwrap_or_else(PoisonError::into_inner).hear(&line);
            }
        });
        self.workers.push(Worker { child, role, job, ears });
        Ok(())
    }

    fn start(&mut self, random: &mut Random) -> Result<()> {
        for job in JOBS {
            self.spawn("write", Some(job), random.word())?;
        }
        for role in ["collect", "collect", "verify"] {
            self.spawn(role, None, random.word())?;
        }
        Ok(())
    }

    /// Kills one at random, and starts another in its place.
    fn kill_one(&mut self, random: &mut Random) -> Result<()> {
        let at = usize::try_from(random.below(self.workers.len() as u64))?;
        let worker = self.workers.swap_remove(at);
        let (role, job) = (worker.role, worker.job);
        end(worker)?;
        self.kills += 1;
        self.spawn(role, job, random.word())
    }

    /// A worker that ended by itself met what never may happen.
    fn watch(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            if let Some(status) = worker.child.try_wait()? {
                bail!("a process that was to {} ended by itself ({status}): its last words are above", worker.role);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.workers.drain(..).try_for_each(end)
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        // After a failure: nobody is left behind.
        let _ = self.end();
    }
}

/// SIGKILL; what it had said is heard to the end.
fn end(mut worker: Worker) -> Result<()> {
    worker.child.kill()?;
    worker.child.wait()?;
    worker.ears.join().map_err(|_| anyhow::anyhow!("a thread that listens ended early"))
}

/// Runs rounds until the time is over; each ends with the check. Prints a line per round.
///
/// # Errors
/// What is not as the model says.
pub async fn soak(dir: &Path, time: Duration, seed: u64) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("soak.").tempdir_in(dir)?;
    let mongod = server::index(&scratch.path().join("index"), 1.0).await?;
    let uri = server::uri(&mongod)?;
    let mut random = Random(seed);
    let started = Instant::now();
    let (mut round, mut fields) = (0_u64, Vec::new());
    while started.elapsed() < time || round == 0 {
        if round.is_multiple_of(ROUNDS_PER_STORE) {
            fields = fresh(&uri, scratch.path(), round);
        }
        round += 1;
        for field in &mut fields {
            run(field, &mut random).await.with_context(|| format!("round {round} of seed {seed}"))?;
            let report =
                check(field).await.with_context(|| format!("round {round} of seed {seed}, {}", field.target.db))?;
            println!("round {round}, {:>4} s, {report}", started.elapsed().as_secs());
        }
    }
    drop(fields);
    server::stop(mongod).await?;
    println!("{round} rounds, nothing was lost, nothing was left");
    Ok(())
}

fn fresh(uri: &str, dir: &Path, round: u64) -> Vec<Field> {
    ["mongo", "packs"]
        .into_iter()
        .map(|kind| {
            let packs = (kind == "packs").then(|| dir.join(format!("packs{round}")));
            let target = Target { uri: uri.into(), db: format!("{kind}{round}"), packs };
            Field { target, model: Arc::default(), workers: Vec::new(), kills: 0 }
        })
        .collect()
}

async fn run(field: &mut Field, random: &mut Random) -> Result<()> {
    let until = Instant::now() + RUN;
    drop(field.target.open().await?);
    field.start(random)?;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(random.below(KILL_WITHIN_MILLISECONDS))).await;
        field.watch()?;
        field.kill_one(random)?;
    }
    field.watch()?;
    field.end()
}

/// Everything that the model has can be read and is equal, nothing that it has not is there, nothing unreachable is left, nobody is registered.
async fn check(field: &Field) -> Result<String> {
    let store = field.target.open().await?;
    let db = Client::with_uri_str(&field.target.uri).await?.database(&field.target.db);
    let snapshots = compare(field, &store).await?;
    let first = collect(&store).await?;
    let second = collect(&store).await?;
    ensure!(second.deleted.blocks == 0 && second.orphans == 0, "a second run found garbage: {second:?}");
    ensure!(first.payloads_missing == 0 && second.payloads_missing == 0, "payloads are missing: {first:?} {second:?}");
    let count = async |name: &str| db.collection::<Document>(name).count_documents(doc! {}).await;
    ensure!(count("writers").await? == 0, "registrations are left");
    let stats = store.stats().await?;
    let account = second.account.as_ref().context("an account of few snapshots")?;
    ensure!(account.live.blocks == stats.blocks, "{} blocks, {} of them reachable", stats.blocks, account.live.blocks);
    let mut packs = 0;
    if field.target.packs.is_some() {
        let sweep = async |dry_run| {
            let request = SweepRequest { store: Target::number()?, compact_below_percent: 0, dry_run };
            anyhow::Ok(store.sweep_packs(request, CancellationToken::new()).await?)
        };
        sweep(false).await?;
        let left = sweep(true).await?;
        ensure!(
            left.deleted_packs == 0 && left.busy_packs == 0 && left.bad_packs.is_empty(),
            "packs are left: {left:?}"
        );
        packs = left.packs;
        ensure!(count("payloads").await? == 0, "payloads are in the database");
    } else {
        ensure!(count("payloads").await? == stats.blocks, "payloads without blocks are left");
    }
    compare(field, &store).await?;
    let model = field.model.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |word: &str| model.counts.get(word).copied().unwrap_or(0);
    Ok(format!(
        "{}: {} kills; so far {} commits, {} deletions, {} runs that freed {} blocks, {} sweeps, {} verifications; {snapshots} snapshots \
         equal, {} blocks, {packs} packs, nothing unreachable",
        field.target.db.trim_end_matches(char::is_numeric),
        field.kills,
        told("committed"),
        told("trashing"),
        told("collected"),
        model.blocks_freed,
        told("swept"),
        told("verified"),
        stats.blocks
    ))
}

/// A run with nobody beside it: the lease of one that was killed ends by itself.
async fn collect(store: &Blockstore) -> Result<CollectReport> {
    for _ in 0..LEASE_ATTEMPTS_MAX {
        match store.collect(&collecting(EXPIRE_AT_REST), Arc::new(|_| {}), CancellationToken::new()).await {
            Err(CollectError::Busy) => tokio::time::sleep(Duration::from_secs(1)).await,
            // A transaction of a process that was killed inside it holds its documents until the server ends it, after 60 to 90 seconds: the
            // engine's own retries may end before.
            Err(error) if error.class() == ErrorClass::Retry => eprintln!("  collecting again: {error}"),
            // What was left of a killed run's epoch is for the next one.
            Ok(report) if report.resumed => {}
            other => return Ok(other?),
        }
    }
    bail!("the lease of a killed run did not end within {LEASE_ATTEMPTS_MAX} seconds")
}

/// Compares every snapshot; how many there are.
async fn compare(field: &Field, store: &Blockstore) -> Result<usize> {
    let roots = store.all_roots().await?;
    let there: BTreeMap<String, &Root> = roots.iter().map(|root| (root.id.to_string(), root)).collect();
    {
        let model = field.model.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &model.committed {
            let is_kept = there.get(id).is_some_and(|root| root.trashed_at.is_none());
            ensure!(is_kept || model.trashed.contains(id), "snapshot {id} was committed, not deleted, and is gone");
        }
        let stray = there.iter().find(|(id, root)| root.trashed_at.is_some() && !model.trashed.contains(*id));
        ensure!(stray.is_none(), "a snapshot lies in the trash that nobody put there: {stray:?}");
    }
    for root in roots.iter().filter(|root| root.trashed_at.is_none()) {
        let seed = u64::from_le_bytes(root.meta.as_slice().try_into().context("a seed of eight bytes")?);
        let expected = files(seed);
        let reader = store.reader(root.clone());
        let names: Vec<_> = reader.files().await?.iter().map(|file| (file.path.clone(), file.size)).collect();
        let wanted: Vec<_> = expected.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect();
        ensure!(names == wanted, "snapshot {} has other files: {names:?}, not {wanted:?}", root.id);
        for (path, bytes) in &expected {
            let read = reader.read(path, 0, bytes.len() as u64).await?;
            ensure!(read == bytes.as_slice(), "file {path} of snapshot {} differs", root.id);
        }
    }
    Ok(roots.len())
}
