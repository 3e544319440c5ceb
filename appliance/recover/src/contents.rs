//! What there is to recover: backups with their snapshots, and the seconds that can be restored.
//!
//! Out of a store of packs only copies of roots and names are read: nothing here proves that blocks and slices are good (`check` does).
//! What cannot be read is named in `faults`, never left out silently.

use std::collections::BTreeMap;

use blockstore_engine::{Aside, AsideError, Purpose, Root};
use holdfast_domain::{BackupJobId, SnapshotId, Ts};
use holdfast_ledger::{JobFacts, SegmentName, SnapshotMeta, Stretch, stretches};
use serde::Serialize;

use crate::{RecoverFault, Source, source::Kind};

/// A cluster time, with its second as RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instant {
    /// Seconds since 1970.
    pub t: u32,
    /// Ordinal within the second.
    pub i: u32,
    /// The second, RFC 3339, UTC.
    pub at: String,
}

impl From<Ts> for Instant {
    fn from(ts: Ts) -> Self {
        let at = jiff::Timestamp::from_second(i64::from(ts.t)).map_or_else(|_| String::new(), |at| at.to_string());
        Self { t: ts.t, i: ts.i, at }
    }
}

/// A run of instants, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecondsRange {
    /// First.
    pub from: Instant,
    /// Last.
    pub to: Instant,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotLine {
    /// Its id.
    pub id: SnapshotId,
    /// Its instant.
    pub instant: Instant,
    /// The last instant that can be restored from it.
    pub reaches: Instant,
    /// `good`, `quarantined` (a bad block was found in it), `in the trash`.
    pub state: &'static str,
    /// Release of the server whose files these are.
    pub server_version: String,
    /// Sum of the files' sizes, in bytes.
    pub bytes: u64,
    /// Label given by a person.
    pub label: Option<String>,
    /// Key that its blocks are encrypted under.
    pub key: Option<String>,
    #[serde(skip)]
    pub(crate) root: Root,
    #[serde(skip)]
    pub(crate) meta: SnapshotMeta,
    #[serde(skip)]
    pub(crate) reach: Ts,
}

/// The backup of one replica set.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Name of the group, or its id where the name is not known.
    pub group: String,
    /// Name of the replica set.
    pub rs: String,
    /// Id of the backup job.
    pub job: BackupJobId,
    /// Snapshots, oldest first.
    pub snapshots: Vec<SnapshotLine>,
    /// Seconds that can be restored, oldest first.
    pub ranges: Vec<SecondsRange>,
    /// What is wrong with its ledger, in sentences.
    pub faults: Vec<String>,
    #[serde(skip)]
    pub(crate) segments: Vec<SegmentName>,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Contents {
    /// Backups, by group and replica set.
    pub backups: Vec<Backup>,
    /// What could not be read, in sentences.
    pub faults: Vec<String>,
    /// What to know, in sentences.
    pub remarks: Vec<String>,
}

impl Source {
    /// What there is.
    ///
    /// # Errors
    /// The source's; what cannot be read of what is there is in `faults`.
    pub async fn contents(&self) -> Result<Contents, RecoverFault> {
        let mut faults = Vec::new();
        let mut by_job: BTreeMap<BackupJobId, Vec<(Root, SnapshotMeta)>> = BTreeMap::new();
        for root in self.roots(&mut faults).await? {
            if root.purpose != Purpose::Snapshot {
                continue;
            }
            match (root.job.parse::<BackupJobId>(), SnapshotMeta::decode(&root.meta)) {
                (Ok(job), Ok(meta)) => by_job.entry(job).or_default().push((root, meta)),
                _ => faults.push(format!("snapshot {} does not say what it is of", root.id)),
            }
        }
        let mut contents = Contents { faults, ..Contents::default() };
        if matches!(self.kind, Kind::Database { lacks_packs: true, .. }) {
            let remark = "this blockstore knows stores of packs: where blocks lie there, name the store with --packs or --s3 too";
            contents.remarks.push(remark.to_owned());
        }
        for (job, roots) in by_job {
            let backup = self.backup(job, roots, &mut contents.faults).await?;
            contents.backups.push(backup);
        }
        contents.backups.sort_by(|a, b| (&a.group, &a.rs, &a.job).cmp(&(&b.group, &b.rs, &b.job)));
        Ok(contents)
    }

    async fn roots(&self, faults: &mut Vec<String>) -> Result<Vec<Root>, RecoverFault> {
        match &self.kind {
            Kind::Database { store, .. } => Ok(store.all_roots().await?),
            Kind::Packs { glance, .. } => {
                let mut good = Vec::new();
                for found in glance.roots().await? {
                    match found.root {
                        Ok(root) => good.push(root),
                        Err(fault) => faults.push(format!("snapshot {} cannot be read: {fault}", found.id)),
                    }
                }
                Ok(good)
            }
        }
    }

    async fn backup(
        &self,
        job: BackupJobId,
        roots: Vec<(Root, SnapshotMeta)>,
        faults: &mut Vec<String>,
    ) -> Result<Backup, RecoverFault> {
        let mut ledger_faults = Vec::new();
        let (facts, segments, ledger) = match &self.kind {
            Kind::Database { ledger, .. } => {
                let facts = ledger.job_facts().await?.into_iter().find(|facts| facts.job == job);
                let chains = ledger.chains(&job).await?.into_iter();
                // Only the ends of a chain in the database count: holes cannot be written there.
                let ledger =
                    chains.map(|c| Stretch { chain: c.chain, first: c.first_seq, last: i64::MAX, end: c.to.ts });
                (facts, Vec::new(), ledger.collect())
            }
            Kind::Packs { aside, .. } => {
                let segments = segments(aside, &job, &mut ledger_faults).await?;
                let ledger = stretches(&segments);
                for pair in ledger.windows(2).filter(|pair| pair[0].chain == pair[1].chain) {
                    ledger_faults.push(format!(
                        "the copy of the ledger lacks entries {} to {} of chain {}: what is after {} cannot be reached from before",
                        pair[0].last + 1, pair[1].first - 1, pair[0].chain, Instant::from(pair[0].end).at
                    ));
                }
                (facts(aside, &job, faults).await?, segments, ledger)
            }
        };
        let mut snapshots: Vec<SnapshotLine> =
            roots.into_iter().filter_map(|(root, meta)| line(root, meta, &ledger)).collect();
        snapshots.sort_by_key(|one| (one.meta.optime, one.meta.resume.chain));
        let any = snapshots.first();
        let group = facts.as_ref().map(|facts| facts.group_name.clone());
        Ok(Backup {
            group: group.or_else(|| any.map(|one| one.meta.group.to_string())).unwrap_or_default(),
            rs: any.map(|one| one.meta.rs.clone()).unwrap_or_default(),
            job,
            ranges: ranges(&snapshots),
            snapshots,
            faults: ledger_faults,
            segments,
        })
    }
}

fn line(root: Root, meta: SnapshotMeta, ledger: &[Stretch]) -> Option<SnapshotLine> {
    let own = |s: &&Stretch| s.chain == meta.resume.chain && s.first <= meta.resume.seq && meta.resume.seq <= s.last;
    let reach = ledger.iter().find(own).map_or(meta.optime.ts, |stretch| stretch.end.max(meta.optime.ts));
    let state = match (root.trashed_at, root.quarantined) {
        (Some(_), _) => "in the trash",
        (None, true) => "quarantined",
        (None, false) => "good",
    };
    Some(SnapshotLine {
        id: root.id.to_string().parse().ok()?,
        instant: meta.optime.ts.into(),
        reaches: reach.into(),
        state,
        server_version: meta.server_version.clone(),
        bytes: root.logical_bytes,
        label: root.label.clone(),
        key: root.key.map(|key| key.to_string()),
        root,
        meta,
        reach,
    })
}

/// Joined where they touch or overlap. Quarantined snapshots promise nothing; those in the trash are as good as others.
fn ranges(snapshots: &[SnapshotLine]) -> Vec<SecondsRange> {
    let mut all: Vec<(Ts, Ts)> =
        snapshots.iter().filter(|one| !one.root.quarantined).map(|one| (one.meta.optime.ts, one.reach)).collect();
    all.sort_unstable();
    let mut joined: Vec<(Ts, Ts)> = Vec::new();
    for (from, to) in all {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined.into_iter().map(|(from, to)| SecondsRange { from: from.into(), to: to.into() }).collect()
}

/// The segments of a job that are as long as their names say.
async fn segments(
    aside: &Aside,
    job: &BackupJobId,
    faults: &mut Vec<String>,
) -> Result<Vec<SegmentName>, RecoverFault> {
    let mut out = Vec::new();
    for (name, bytes) in aside.list(&SegmentName::folder(job)).await? {
        match name.parse::<SegmentName>() {
            Ok(segment) if segment.job == *job && Aside::is_whole(&name, segment.bytes, bytes) => out.push(segment),
            Ok(segment) => faults.push(format!(
                "{name} has {bytes} bytes, which is too short or too long: entries {} to {} of chain {} are lost",
                segment.first, segment.last, segment.chain
            )),
            Err(_) => {}
        }
    }
    Ok(out)
}

async fn facts(aside: &Aside, job: &BackupJobId, faults: &mut Vec<String>) -> Result<Option<JobFacts>, RecoverFault> {
    let name = JobFacts::name(job);
    match aside.get(&name).await {
        Ok(Some(bytes)) => Ok(serde_json::from_slice(&bytes).ok()),
        Ok(None) => Ok(None),
        Err(error @ (AsideError::Bad { .. } | AsideError::NoKey { .. })) => {
            faults.push(format!("the names of job {job} are not known: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
