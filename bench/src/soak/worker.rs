//! What one process of the soak does until it is killed or its standard input ends.
//!
//! Invariants: `committed ID` is said after the commit, `trashing ID` before the deletion; what can happen beside others (a lost registration, a
//! lease held elsewhere, a snapshot that went) is said and gone on from; what never may (corruption, a bug) ends the process with an error.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use blockstore_engine::{
    Blockstore, CollectError, ErrorClass, RegisterError, RootId, SweepRequest, WriteError, WriterRequest,
};
use tokio_util::sync::CancellationToken;

use super::{EXPIRE, Target, collecting, files};
use crate::engine::{commit_request, quiet};
use crate::random::Random;

/// Snapshots of a job outside the trash, about.
const KEPT: usize = 6;
/// Packs of which less than this is named are compacted, in percent.
const COMPACT_BELOW_PERCENT: u8 = 60;

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// ROLE, the store, a seed, and for a writer its job.
///
/// # Errors
/// Whatever never may happen, whoever was killed.
pub async fn work(arguments: &[String]) -> Result<()> {
    let (role, rest) = arguments.split_first().context("a role is needed")?;
    let (target, rest) = Target::parse(rest)?;
    let (seed, rest) = rest.split_first().context("a seed is needed")?;
    let mut random = Random(seed.parse()?);
    // A parent that is gone leaves no worker behind.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let store = target.open().await?;
    match role.as_str() {
        "write" => {
            let job = rest.first().context("a job is needed")?;
            loop {
                write(&store, job, &mut random).await?;
                trash(&store, job, &mut random).await?;
            }
        }
        "collect" => loop {
            collect(&store, &target).await?;
            pause(&mut random, 300).await;
        },
        "verify" => loop {
            verify(&store, &mut random).await?;
            pause(&mut random, 100).await;
        },
        other => bail!("there is no role {other}"),
    }
}

async fn pause(random: &mut Random, milliseconds_max: u64) {
    tokio::time::sleep(Duration::from_millis(random.below(milliseconds_max))).await;
}

fn may_happen(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Retry | ErrorClass::Cancelled)
}

async fn write(store: &Blockstore, job: &str, random: &mut Random) -> Result<()> {
    let mut roots = store.roots(job).await?;
    roots.retain(|root| root.trashed_at.is_none());
    let parent = match roots.len() as u64 {
        0 => None,
        count => (random.below(4) > 0).then(|| roots[usize::try_from(random.below(count)).unwrap_or(0)].id),
    };
    let request = WriterRequest { job: job.into(), job_epoch: 1, parent, key: None };
    let mut writer = match store.register(request).await {
        Ok(writer) => writer,
        Err(RegisterError::ParentGone(_)) => return Ok(()),
        Err(error) if may_happen(error.class()) => return say(&format!("note registering: {error}")),
        Err(error) => return Err(error.into()),
    };
    let seed = random.word();
    let written = async {
        for (path, bytes) in files(seed) {
            writer.add_file(&path, 0o600, bytes).await?;
            // Long enough that a kill falls between two steps of the protocol as well.
            pause(random, 30).await;
        }
        if random.below(10) == 0 {
            return Ok(None);
        }
        writer.commit(commit_request(seed.to_le_bytes().to_vec())).await.map(Some)
    };
    match written.await {
        Ok(Some(root)) => say(&format!("committed {}", root.id)),
        Ok(None) => Ok(writer.abandon().await?),
        Err(error) if may_happen(WriteError::class(&error)) => say(&format!("note writing: {error}")),
        Err(error) => Err(error.into()),
    }
}

async fn trash(store: &Blockstore, job: &str, random: &mut Random) -> Result<()> {
    let mut roots = store.roots(job).await?;
    roots.retain(|root| root.trashed_at.is_none());
    if roots.len() <= KEPT {
        return Ok(());
    }
    let id: RootId = roots[usize::try_from(random.below(roots.len() as u64)).unwrap_or(0)].id;
    say(&format!("trashing {id}"))?;
    match store.trash(&id, &|_| Ok(())).await {
        Ok(()) => Ok(()),
        Err(error) => say(&format!("note trashing: {error}")),
    }
}

async fn collect(store: &Blockstore, target: &Target) -> Result<()> {
    let run = store.collect(&collecting(EXPIRE), Arc::new(|_| {}), CancellationToken::new()).await;
    match run {
        Ok(report) => say(&format!("collected {} {}", report.deleted.blocks, report.unlinked.len()))?,
        Err(CollectError::Busy) => return Ok(()),
        Err(error) if may_happen(error.class()) => return say(&format!("note collecting: {error}")),
        Err(error) => return Err(error.into()),
    }
    if target.packs.is_some() {
        let request =
            SweepRequest { store: Target::number()?, compact_below_percent: COMPACT_BELOW_PERCENT, dry_run: false };
        match store.sweep_packs(request, CancellationToken::new()).await {
            Ok(report) if report.bad_packs.is_empty() && report.bad_blocks == 0 => {
                say(&format!("swept {} {}", report.deleted_packs, report.copied_bytes))?;
            }
            Ok(report) => bail!("a sweep met bad packs: {report:?}"),
            Err(error) if may_happen(error.class()) => say(&format!("note sweeping: {error}"))?,
            Err(error) => return Err(error.into()),
        }
        store.mirror_roots(Target::number()?).await?;
    }
    Ok(())
}

/// One snapshot. A bad block of one that is still there afterwards is what never may happen.
async fn verify(store: &Blockstore, random: &mut Random) -> Result<()> {
    let roots = store.all_roots().await?;
    if roots.is_empty() {
        return Ok(());
    }
    let root = roots[usize::try_from(random.below(roots.len() as u64)).unwrap_or(0)].clone();
    let id = root.id;
    let report = match store.reader(root).verify(quiet()).await {
        Ok(report) if report.is_good() => return say(&format!("verified {id}")),
        Ok(report) => format!("{report:?}"),
        Err(error) if may_happen(error.class()) => return say(&format!("note verifying: {error}")),
        Err(error) => format!("{error:?}"),
    };
    match store.root(&id).await? {
        Some(root) if root.trashed_at.is_none() => bail!("snapshot {id} is bad: {report}"),
        // It was unlinked, or may be any moment.
        _ => Ok(()),
    }
}
