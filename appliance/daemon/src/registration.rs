//! The daemon's own document: who it is, where it listens, how much room its heads have. A reconciler on a timer.

use std::{sync::Arc, time::Duration};

use blockstore_engine::CacheStats;
use holdfast_domain::DaemonId;
use holdfast_metadb::{
    BackupJobFilter, DaemonBeat, DaemonFileSystem, DaemonHead, DaemonSettings, DaemonSpace, MetaDb, MetaError,
    NewDaemon,
};
use tokio_util::sync::CancellationToken;

use crate::{binaries::Binaries, binder::RELEASE_LABEL, busy::Ticks, chain_of, context::Context, space};

/// How often the daemon reports, at most; the leases' length sets it where that is shorter.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// A name that someone else reports under is watched this long.
const WATCH_FOR: Duration = Duration::from_secs(8);

/// Another daemon has this name.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It reports right now.
    #[error("a daemon named {0:?} is running elsewhere: give this one a name of its own (daemon.name)")]
    NameInUse(String),
    /// The app database.
    #[error("register this daemon")]
    Meta(#[from] MetaError),
}

/// Name and labels as they are stored.
#[must_use]
pub fn labels(settings: &DaemonSettings, binaries: &Binaries) -> Vec<String> {
    let mut labels = settings.labels.clone();
    for binary in binaries.all() {
        labels.push(format!("{RELEASE_LABEL}{}.{}", binary.version.0, binary.version.1));
    }
    labels.sort();
    labels.dedup();
    labels
}

/// The name: as set, else the machine's.
#[must_use]
pub fn name(settings: &DaemonSettings) -> String {
    if !settings.name.is_empty() {
        return settings.name.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if host.trim().is_empty() { "daemon".to_owned() } else { host.trim().to_owned() }
}

/// Ports in use.
#[must_use]
pub fn ports(settings: &DaemonSettings) -> Vec<u16> {
    let mut ports = vec![settings.kill_listen.port(), settings.debug_listen.port()];
    ports.extend(&settings.head_ports);
    ports
}

/// Registers; `known` is the id that the head folder holds, if any. A name under which another one reports right now is refused.
///
/// # Errors
/// [`RegisterError`].
pub async fn register(
    metadb: &MetaDb,
    settings: &DaemonSettings,
    binaries: &Binaries,
    known: Option<&DaemonId>,
) -> Result<DaemonId, RegisterError> {
    let name = name(settings);
    let find = async || Ok::<_, MetaError>(metadb.daemons().await?.into_iter().find(|daemon| daemon.name == name));
    if let Some(there) = find().await?.filter(|there| Some(&there.id) != known) {
        tokio::time::sleep(WATCH_FOR).await;
        if find().await?.is_some_and(|now| now.beat != there.beat) {
            return Err(RegisterError::NameInUse(name));
        }
    }
    let new = NewDaemon {
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: labels(settings, binaries),
        ports: ports(settings),
    };
    Ok(metadb.register_daemon(&new).await?.id)
}

/// How often a daemon reports.
#[must_use]
pub fn beat_every(ctx: &Context) -> Duration {
    BEAT_EVERY.min(ctx.lease() / 3)
}

/// Reports until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let every = beat_every(&ctx);
    let mut ticks = Ticks::now();
    loop {
        let now = Ticks::now();
        let busy = now.zip(ticks).and_then(|(now, before)| now.busy_percent_since(before));
        ticks = now;
        if let Err(error) = beat(&ctx, busy).await {
            tracing::warn!(error = chain_of(&error), "report this daemon's state");
        }
        if cancel.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

async fn beat(ctx: &Arc<Context>, busy_percent: Option<u8>) -> Result<(), MetaError> {
    let (root, max) = (ctx.layout.root().to_owned(), ctx.settings.head_bytes_max);
    let measured = tokio::task::spawn_blocking(move || (space::room(&root, max), space::used(&root))).await;
    let space = match measured {
        Ok((Ok(room), Ok(used))) => {
            metrics::gauge!("holdfast_head_disk_free_bytes").set(as_f64(room.free_bytes));
            DaemonSpace { total_bytes: room.total_bytes, used_bytes: used, free_bytes: room.free_bytes }
        }
        _ => DaemonSpace::default(),
    };
    metrics::gauge!("holdfast_heads_open").set(as_f64(ctx.board.heads_open() as u64));
    if let Some(stats) = ctx.store.cache_stats() {
        export_cache(&stats);
    }
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let jobs = ctx.metadb.backup_jobs(&filter).await?;
    let heads = jobs.into_iter().map(|job| DaemonHead {
        job: job.id,
        generation: job.head_generation,
        bytes: u64::try_from(job.head_bytes).unwrap_or(0),
        phase: job.phase,
    });
    let found = &ctx.file_system;
    let file_system = DaemonFileSystem {
        name: found.name.clone(),
        finds_changes: found.finds_changes(),
        recommendation: found.recommendation(),
    };
    let beat = DaemonBeat {
        space,
        file_system: Some(file_system),
        heads: heads.collect(),
        ports: ports(&ctx.settings),
        labels: labels(&ctx.settings, &ctx.binaries),
        busy_percent,
    };
    ctx.metadb.beat_daemon(&ctx.id, &beat).await
}

/// How much of what is asked for the engine's cache has: over the process's life as a ratio, and the counters for any other span.
fn export_cache(stats: &CacheStats) {
    metrics::counter!("holdfast_cache_hits_total").absolute(stats.hits);
    metrics::counter!("holdfast_cache_misses_total").absolute(stats.misses);
    metrics::counter!("holdfast_cache_bad_total").absolute(stats.bad);
    metrics::gauge!("holdfast_cache_bytes").set(as_f64(stats.bytes));
    let asked = stats.hits.saturating_add(stats.misses);
    if asked > 0 {
        metrics::gauge!("holdfast_cache_hit_ratio").set(as_f64(stats.hits) / as_f64(asked));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a gauge")]
const fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_rate_of_the_cache_is_a_metric() {
        let (metrics, recorder) = holdfast_service::metrics::Metrics::detached();
        let stats = CacheStats { hits: 3, misses: 1, bad: 0, rebuilds: 0, bytes: 4096 };
        ::metrics::with_local_recorder(&recorder, || export_cache(&stats));
        metrics.upkeep();
        let text = metrics.render();
        for line in ["holdfast_cache_hits_total 3", "holdfast_cache_misses_total 1", "holdfast_cache_hit_ratio 0.75"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
