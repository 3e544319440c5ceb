//! Backup jobs, leases, assignments, restore jobs; against a real server.

use crate::support::*;
use bson::{DateTime, Document, doc};
use holdfast_agent_api::{BandwidthRule, JobReport};
use holdfast_domain::{
    AgentId, ArchiveFormat, BackupEvent, BackupState, DaemonId, Lease, OpTime, Progress, RestoreJobId, RestoreState,
    RestoreTarget, SnapshotId, SnapshotSchedule, Ts,
};
use holdfast_metadb::{
    BackupJob, BackupJobFilter, BackupSettings, DownloadError, Fence, HeadFacts, MetaDb, MetaError, NewRestoreJob,
    Proof, RestoreUpdate, SecretKind, SnapshotRequestState, hash_secret, new_secret,
};

const AT: OpTime = OpTime { ts: Ts { t: 77, i: 3 }, term: 2 };

async fn again(meta: &MetaDb, job: &BackupJob) -> BackupJob {
    meta.backup_job(&job.id).await.unwrap().unwrap()
}

async fn take(meta: &MetaDb, job: &BackupJob, owner: &str) -> Fence {
    let seen = again(meta, job).await.lease;
    meta.acquire_lease(&job.id, &seen, owner).await.unwrap().unwrap()
}

#[tokio::test]
async fn leases_and_fences() {
    let server = Server::start().await;
    let meta = &server.meta;
    let job = job(meta, "rs0").await;
    let owners: Vec<String> = (0..8).map(|n| format!("daemon{n}")).collect();
    let seen = again(meta, &job).await.lease;
    let tried = futures::future::join_all(owners.iter().map(|o| meta.acquire_lease(&job.id, &seen, o))).await;
    let mut held: Vec<Fence> = tried.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(held.len(), 1, "one of eight");
    let old = held.remove(0);
    assert_eq!(old.epoch, 1);
    let stale = again(meta, &job).await.lease;
    meta.renew_lease(&old).await.unwrap();
    assert!(meta.acquire_lease(&job.id, &stale, "other").await.unwrap().is_none(), "its beat moved");

    assert_eq!(meta.set_state(&old, BackupEvent::Loaded, "apply", None).await.unwrap(), BackupState::CatchingUp);
    let wrong = meta.set_state(&old, BackupEvent::Start, "", None).await;
    assert!(matches!(wrong, Err(MetaError::Transition(_))), "{wrong:?}");
    let progress = Progress { done: 1, total: 2, unit: "bytes".into() };
    meta.set_progress(&old, "apply slices", Some(&progress)).await.unwrap();
    let head = HeadFacts { optime: Some(AT), generation: 1, bytes: 9 };
    meta.set_head(&old, &head).await.unwrap();
    let stored = again(meta, &job).await;
    assert_eq!(
        (stored.head_optime, stored.progress, stored.phase.as_str()),
        (Some(AT), Some(progress), "apply slices")
    );

    // Another takes over: every write of the old owner matches nothing.
    let new = take(meta, &job, "other").await;
    assert_eq!(new.epoch, 2);
    let before = again(meta, &job).await;
    let proof = Proof { snapshot: "s".into(), at: DateTime::now(), good: true, detail: String::new(), seconds: 1 };
    let refused = [
        meta.renew_lease(&old).await,
        meta.release_lease(&old).await,
        meta.set_state(&old, BackupEvent::CaughtUp, "", None).await.map(|_| ()),
        meta.set_progress(&old, "x", None).await,
        meta.set_head(&old, &HeadFacts::default()).await,
        meta.set_last_error(&old, Some("x")).await,
        meta.clear_resync_request(&old).await,
        meta.want_catalog(&old).await,
        meta.set_proof(&old, &proof).await,
        meta.unbind_daemon(&old).await,
        meta.take_snapshot_request(&old).await.map(|_| ()),
    ];
    assert!(refused.iter().all(|r| matches!(r, Err(MetaError::Fenced))), "{refused:?}");
    // The same epoch under another name is no lease either.
    let forged = Fence { owner: "forged".into(), ..new.clone() };
    assert!(matches!(meta.renew_lease(&forged).await, Err(MetaError::Fenced)));
    assert_eq!(again(meta, &job).await, before);

    meta.release_lease(&new).await.unwrap();
    let given = again(meta, &job).await.lease;
    assert_eq!(given, Lease { owner: String::new(), epoch: 2, beat: given.beat });
    assert_eq!(take(meta, &job, "third").await.epoch, 3);
}

#[tokio::test]
async fn operators_change_jobs() {
    let server = Server::start().await;
    let meta = &server.meta;
    let job = job(meta, "rs0").await;
    let fence = take(meta, &job, "d").await;
    assert_eq!(meta.operate(&job.id, BackupEvent::Stop).await.unwrap(), BackupState::Stopped);
    let late = meta.set_state(&fence, BackupEvent::Loaded, "", None).await;
    assert!(matches!(late, Err(MetaError::Transition(_))), "the operator was faster: {late:?}");
    assert!(matches!(meta.request_snapshot(&job.id, None, false).await, Err(MetaError::State { .. })));
    assert!(matches!(meta.request_resync(&job.id, "x").await, Err(MetaError::State { .. })));
    assert_eq!(meta.operate(&job.id, BackupEvent::Start).await.unwrap(), BackupState::InitialSync);
    meta.request_resync(&job.id, "asked for").await.unwrap();
    assert_eq!(again(meta, &job).await.resync_requested.as_deref(), Some("asked for"));
    meta.clear_resync_request(&fence).await.unwrap();
    assert_eq!(again(meta, &job).await.resync_requested, None);

    let rule = |bytes| BandwidthRule { from_hour: 8, to_hour: 18, bytes_per_second: bytes };
    let schedule = SnapshotSchedule { every_seconds: 3600, replay_debt_seconds_max: 60 };
    let settings = BackupSettings {
        schedule: Some(schedule),
        bandwidth: Some(vec![rule(1 << 20)]),
        member: Some(Some("b:1".into())),
        link_uses: Some(7),
        ..Default::default()
    };
    meta.update_backup_settings(&job.id, &settings).await.unwrap();
    let changed = again(meta, &job).await;
    assert_eq!(
        (changed.schedule, changed.bandwidth, changed.member.as_deref()),
        (schedule, vec![rule(1 << 20)], Some("b:1"))
    );
    assert_eq!((changed.link_uses, changed.link_hours), (7, job.link_hours));
    for wrong in [
        BackupSettings { bandwidth: Some(vec![rule(1)]), ..Default::default() },
        BackupSettings { link_hours: Some(0), ..Default::default() },
        BackupSettings { schedule: Some(SnapshotSchedule { every_seconds: 5, ..schedule }), ..Default::default() },
    ] {
        assert!(matches!(meta.update_backup_settings(&job.id, &wrong).await, Err(MetaError::Invalid { .. })));
    }

    // Binding.
    let (one, two) = (DaemonId::random(), DaemonId::random());
    let unbound = BackupJobFilter { unbound: true, running: true, ..Default::default() };
    assert_eq!(meta.backup_jobs(&unbound).await.unwrap().len(), 1);
    assert!(meta.bind_daemon(&job.id, None, &one).await.unwrap());
    assert!(!meta.bind_daemon(&job.id, None, &two).await.unwrap(), "it is bound");
    assert!(meta.backup_jobs(&unbound).await.unwrap().is_empty());
    meta.request_move(&job.id, Some(&two)).await.unwrap();
    assert_eq!(again(meta, &job).await.wanted_daemon, Some(two.clone()));
    assert!(meta.bind_daemon(&job.id, Some(&one), &two).await.unwrap());
    let moved = again(meta, &job).await;
    assert_eq!((moved.daemon, moved.wanted_daemon), (Some(two.clone()), None));
    let mine = BackupJobFilter { daemon: Some(two), ..Default::default() };
    assert_eq!(meta.backup_jobs(&mine).await.unwrap().len(), 1);
    assert_eq!(meta.backup_job_by_rs(&job.group, "rs0").await.unwrap().unwrap().id, job.id);
}

#[tokio::test]
async fn assignments_and_snapshot_requests() {
    let server = Server::start().await;
    let meta = &server.meta;
    let job = job(meta, "rs0").await;
    let (a, b) = (AgentId::random(), AgentId::random());
    let first = meta.assign_agent(&job.id, 0, &a).await.unwrap().unwrap();
    assert_eq!(first.epoch, 1);
    assert!(meta.assign_agent(&job.id, 0, &b).await.unwrap().is_none(), "another was faster");
    meta.touch_assignment(&job.id, &a, 1).await.unwrap();
    assert_eq!(again(meta, &job).await.assignment.beat, 1);
    assert!(matches!(meta.touch_assignment(&job.id, &b, 1).await, Err(MetaError::Fenced)));
    let report = JobReport {
        job: job.id.clone(),
        phase: "tail the oplog".into(),
        progress: None,
        member: Some("b:1".into()),
        source_optime: Some(AT),
        sent_optime: Some(AT),
        oplog_window: Some((1, u32::MAX)),
        spool_bytes: 5,
        error: None,
    };
    meta.report(&job.id, &a, 1, &report).await.unwrap();
    let stored = again(meta, &job).await;
    assert_eq!((stored.source_optime, stored.agent_report.unwrap().report), (Some(AT), report.clone()));
    assert_eq!(meta.assigned_job(&job.id, &a, 1).await.unwrap().id, job.id);
    meta.assign_agent(&job.id, 1, &b).await.unwrap().unwrap();
    assert!(matches!(meta.assigned_job(&job.id, &a, 1).await, Err(MetaError::Fenced)));
    assert!(matches!(meta.report(&job.id, &a, 1, &report).await, Err(MetaError::Fenced)));
    let mine = BackupJobFilter { agent: Some(b), ..Default::default() };
    assert_eq!(meta.backup_jobs(&mine).await.unwrap().len(), 1);

    let fence = take(meta, &job, "d").await;
    assert!(meta.take_snapshot_request(&fence).await.unwrap().is_none());
    let one = meta.request_snapshot(&job.id, Some("before the migration"), true).await.unwrap();
    let two = meta.request_snapshot(&job.id, None, false).await.unwrap();
    let taken = meta.take_snapshot_request(&fence).await.unwrap().unwrap();
    assert_eq!((taken.id.as_str(), taken.state), (one.id.as_str(), SnapshotRequestState::Running));
    // The daemon dies; the next owner finds the same one.
    let fence = take(meta, &job, "e").await;
    let taken = meta.take_snapshot_request(&fence).await.unwrap().unwrap();
    assert_eq!(taken.id, one.id);
    let snapshot = SnapshotId::random();
    meta.finish_snapshot_request(&fence, &taken, Ok(snapshot.clone())).await.unwrap();
    let taken = meta.take_snapshot_request(&fence).await.unwrap().unwrap();
    assert_eq!(taken.id, two.id);
    meta.finish_snapshot_request(&fence, &taken, Err("no space".into())).await.unwrap();
    assert!(meta.take_snapshot_request(&fence).await.unwrap().is_none());
    let (of, done) = meta.snapshot_request(&job.group, &one.id).await.unwrap().unwrap();
    assert_eq!((of, done.state, done.snapshot), (job.id.clone(), SnapshotRequestState::Done, Some(snapshot)));
    let (_, failed) = meta.snapshot_request(&job.group, &two.id).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.error.as_deref()), (SnapshotRequestState::Failed, Some("no space")));
    for _ in 0..60 {
        meta.request_snapshot(&job.id, None, false).await.unwrap();
    }
    assert_eq!(again(meta, &job).await.snapshot_requests.len(), 50, "bounded");
}

fn restore(job: &BackupJob, format: ArchiveFormat, state: RestoreState, hours: i64) -> (NewRestoreJob, String) {
    let secret = new_secret(SecretKind::Link);
    let ready = state == RestoreState::Ready;
    let new = NewRestoreJob {
        id: RestoreJobId::random(),
        group: job.group.clone(),
        job: job.id.clone(),
        target: RestoreTarget::Instant(AT.ts),
        chain: None,
        format,
        state,
        root: ready.then(|| "root".into()),
        base_root: "base".into(),
        optime: ready.then_some(AT),
        bytes: (ready && format != ArchiveFormat::TarGz).then_some(1000),
        etag: None,
        link_hash: hash_secret(&secret),
        name: "rs0".into(),
        expires: DateTime::from_millis(DateTime::now().timestamp_millis() + hours * 3_600_000),
        uses: 2,
        created_by: "ci".into(),
        reason: "a test".into(),
        planned_bytes: None,
        daemon: None,
    };
    (new, secret)
}

#[tokio::test]
async fn restore_jobs_and_their_links() {
    let server = Server::start().await;
    let meta = &server.meta;
    let job = job(meta, "rs0").await;
    let daemon = DaemonId::random();
    meta.bind_daemon(&job.id, None, &daemon).await.unwrap();

    let (new, secret) = restore(&job, ArchiveFormat::Tar, RestoreState::Queued, 1);
    let made = meta.create_restore_job(new.clone()).await.unwrap();
    assert!(matches!(meta.create_restore_job(new).await, Err(MetaError::Exists { .. })));
    let raw: Document = server.db.collection("restore_jobs").find_one(doc! {}).await.unwrap().unwrap();
    assert!(!raw.to_string().contains(&secret));
    assert_eq!(meta.restore_job_by_link(&hash_secret(&secret)).await.unwrap().unwrap(), made);
    assert_eq!(meta.queued_restores(&daemon).await.unwrap(), std::slice::from_ref(&made));
    assert!(meta.queued_restores(&DaemonId::random()).await.unwrap().is_empty());
    assert!(matches!(meta.begin_download(&made.id).await, Err(DownloadError::NotReady { .. })));

    let old = meta.claim_restore(&made.id, &made.lease, "a").await.unwrap().unwrap();
    assert!(meta.claim_restore(&made.id, &made.lease, "b").await.unwrap().is_none());
    let seen = meta.restore_job(&made.id).await.unwrap().unwrap().lease;
    let fence = meta.claim_restore(&made.id, &seen, "b").await.unwrap().unwrap();
    let nothing = RestoreUpdate::default();
    assert!(matches!(meta.set_restore_state(&old, RestoreState::Running, &nothing).await, Err(MetaError::Fenced)));
    assert!(matches!(meta.renew_restore(&old).await, Err(MetaError::Fenced)));
    meta.renew_restore(&fence).await.unwrap();
    meta.set_restore_state(&fence, RestoreState::Running, &nothing).await.unwrap();
    let ready = RestoreUpdate {
        root: Some("made".into()),
        optime: Some(AT),
        bytes: Some(1000),
        etag: Some("e".into()),
        ..Default::default()
    };
    meta.set_restore_state(&fence, RestoreState::Ready, &ready).await.unwrap();
    assert!(
        matches!(meta.set_restore_state(&fence, RestoreState::Failed, &nothing).await, Err(MetaError::Fenced)),
        "it ended"
    );
    meta.release_restore(&fence).await.unwrap();

    // Two uses of 1000 bytes: resumes cost what they fetch.
    for sent in [400, 600, 999] {
        assert_eq!(meta.begin_download(&made.id).await.unwrap().root, "made");
        meta.count_bytes(&made.id, sent).await.unwrap();
    }
    meta.begin_download(&made.id).await.unwrap();
    assert_eq!(meta.count_bytes(&made.id, 1).await.unwrap(), 2000);
    assert!(matches!(meta.begin_download(&made.id).await, Err(DownloadError::Spent)));

    // tar.gz is counted in requests, also when they come at once.
    let (new, _) = restore(&job, ArchiveFormat::TarGz, RestoreState::Ready, 1);
    let gz = meta.create_restore_job(new).await.unwrap();
    let tried = futures::future::join_all((0..6).map(|_| meta.begin_download(&gz.id))).await;
    assert_eq!(tried.iter().filter(|r| r.is_ok()).count(), 2, "{tried:?}");

    // Ends.
    let (new, _) = restore(&job, ArchiveFormat::TarZst, RestoreState::Ready, -1);
    let over = meta.create_restore_job(new).await.unwrap();
    assert!(matches!(meta.begin_download(&over.id).await, Err(DownloadError::Expired)));
    let ended = meta.expire_restores().await.unwrap();
    assert_eq!(ended.iter().map(|job| &job.id).collect::<Vec<_>>(), [&over.id]);
    assert!(meta.expire_restores().await.unwrap().is_empty(), "once");
    assert!(meta.revoke_restore(&gz.id, "ops").await.unwrap());
    assert!(!meta.revoke_restore(&gz.id, "ops").await.unwrap());
    assert!(matches!(meta.begin_download(&gz.id).await, Err(DownloadError::Expired)));
    assert!(matches!(meta.begin_download(&RestoreJobId::random()).await, Err(DownloadError::Unknown)));
    assert_eq!(meta.restore_jobs(&job.id).await.unwrap().len(), 3);
    let (bad, _) = restore(&job, ArchiveFormat::Tar, RestoreState::Ready, 1);
    let bad = NewRestoreJob { root: None, ..bad };
    assert!(matches!(meta.create_restore_job(bad).await, Err(MetaError::Invalid { .. })));
}
