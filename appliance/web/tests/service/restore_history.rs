//! The history of restores, links that are taken away, estimates, and answers about instants that cannot be restored.

use bson::{Document, Timestamp, doc};
use holdfast_domain::{
    BackupJobId, CloseReason, Hash32, OpKind, OpTime, RestoreState, SliceSummary, SummaryBuilder, Ts,
};
use holdfast_ledger::{AppendRequest, compress, inspect_payload};
use holdfast_metadb::{RestoreUpdate, Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, op, refused};

/// Appends a slice with these oplog entries.
async fn append(world: &World, job: &BackupJobId, entries: &[Document], summary: SliceSummary) {
    let tail = world.ledger.tail(job).await.unwrap().unwrap();
    let raw: Vec<u8> = entries.iter().flat_map(|entry| bson::serialize_to_vec(entry).unwrap()).collect();
    let facts = inspect_payload(&raw).unwrap();
    let frame = compress(&raw).unwrap();
    let payload = world.ledger.put_payload(job, tail.at.chain, Hash32::of(&raw), &frame, &facts, None).await.unwrap();
    let (seq, prev) = (tail.at.seq + 1, tail.hash);
    let request = AppendRequest { seq, prev, first: facts.first, last: facts.last, payload, summary };
    world.ledger.append_slice(job, tail.at.chain, &request).await.unwrap();
}

fn entry(at: OpTime, kind: &str, ns: &str) -> Document {
    doc! { "ts": Timestamp::from(at.ts), "t": at.term, "op": kind, "ns": ns, "o": {} }
}

fn inserted(at: Ts, ns: &str) -> SliceSummary {
    let mut summary = SummaryBuilder::default();
    summary.count(at, ns, OpKind::Insert);
    summary.finish()
}

async fn delete(world: &World, key: &str, path: &str) -> reqwest::Response {
    world.call(Some(key), Method::DELETE, path, None).await
}

#[tokio::test]
async fn restore_history_is_paged_over_all_backups_and_says_who_and_why() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body = json!({ "snapshot": root.id.to_string(), "reason": format!(" ticket {n} ") });
        made.push(ok(world.post(&world.backup("/restores"), body).await).await["id"].clone());
    }
    made.reverse();
    let path = format!("/groups/{}/restores", world.group.name);
    let (mut seen, mut cursor, mut pages) = (Vec::<Value>::new(), String::new(), 0);
    loop {
        let page = world.get(&format!("{path}?limit=2{cursor}")).await;
        seen.extend(page["restores"].as_array().unwrap().iter().cloned());
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, 3);
    let mut ids: Vec<_> = seen.iter().map(|r| r["id"].clone()).collect();
    // Within one millisecond the id decides, not the order of asking.
    ids.sort_by_key(Value::to_string);
    made.sort_by_key(Value::to_string);
    assert_eq!(ids, made, "each once");
    let created: Vec<jiff::Timestamp> = seen.iter().map(|r| r["created"].as_str().unwrap().parse().unwrap()).collect();
    assert!(created.is_sorted_by(|a, b| a >= b), "{created:?}");
    assert!(seen.iter().any(|r| r["reason"] == "ticket 4"), "trimmed: {seen:?}");
    assert_eq!((&seen[0]["rs"], &seen[0]["createdBy"]), (&json!("rs0"), &json!("test")));
    assert_eq!((&seen[0]["usesSpent"], &seen[0]["uses"]), (&json!(0), &json!(3)));
    let wrong = world.call(Some(&world.admin), Method::GET, &format!("{path}?cursor=x"), None).await;
    refused(wrong, StatusCode::BAD_REQUEST, "badRequest").await;
    let long = json!({ "snapshot": root.id.to_string(), "reason": "x".repeat(501) });
    refused(world.post(&world.backup("/restores"), long).await, StatusCode::BAD_REQUEST, "badRequest").await;
    let other = world.metadb.create_group(&format!("y{}", world.group.name)).await.unwrap();
    let empty = world.get(&format!("/groups/{}/restores", other.name)).await;
    assert_eq!(empty, json!({ "restores": [], "next": null }), "another group sees nothing of it");
}

#[tokio::test]
async fn a_restore_link_that_is_revoked_opens_nothing_and_holds_nothing() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let made = ok(world.post(&world.backup("/restores"), json!({ "snapshot": root.id.to_string() })).await).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(world.blockstore.root(&root.id).await.unwrap().unwrap().pins.len(), 1);
    let path = format!("/restores/{id}/link");
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    refused(delete(&world, &reader, &path).await, StatusCode::FORBIDDEN, "forbidden").await;
    let gone = ok(delete(&world, &world.admin, &path).await).await;
    assert_eq!((&gone["state"], &gone["revoked"]["by"]), (&json!("expired"), &json!("test")));
    let download = world.metadb.begin_download(&id.parse().unwrap()).await;
    assert!(matches!(download, Err(holdfast_metadb::DownloadError::Expired)), "{download:?}");
    assert!(world.blockstore.root(&root.id).await.unwrap().unwrap().pins.is_empty(), "retention may have it");
    refused(delete(&world, &world.admin, &path).await, StatusCode::CONFLICT, "linkEnded").await;
    let log = world.metadb.audit_entries(Some(&world.group.id), 10).await.unwrap();
    let noted: Vec<_> = log.iter().filter(|e| e.action == "restore link revoked").map(|e| e.target.as_str()).collect();
    assert_eq!(noted, [id]);
}

#[tokio::test]
async fn a_second_that_cannot_be_restored_has_its_nearest_and_its_reason_however_far() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(200, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(110, 1), 0, 1).await;
    world.ledger.force_close(&job.id, CloseReason::WindowLost, "x").await.unwrap();
    world.open_chain(&job.id, op(90_000, 1)).await;
    world.append(&job.id, &[op(90_000, 1), op(90_500, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(90_010, 1), 1, 1).await;
    // A minute in the middle of a day's gap: neither chain overlaps it, and the reason is told all the same.
    let shown = world.get(&world.backup("/timeline?from=45000,0&to=45060,0")).await;
    assert_eq!((&shown["chains"][0]["reason"], &shown["chains"][1]["reason"]), (&json!("windowLost"), &json!(null)));
    let at = "1970-01-01T12:30:00Z";
    for path in ["/cut?at=", "/restores/estimate?at="] {
        let path = world.backup(&format!("{path}{at}"));
        let answer = world.call(Some(&world.admin), Method::GET, &path, None).await;
        let detail = refused(answer, StatusCode::CONFLICT, "notRestorable").await;
        for part in ["1970-01-01T00:03:19Z before it", "1970-01-02T01:00:10Z after it", "oplog no longer held"] {
            assert!(detail.contains(part), "{path}: {detail}");
        }
    }
}

#[tokio::test]
async fn the_cut_reaches_back_over_quiet_slices_and_counts_the_minute_after() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let five: Vec<_> = (1..=5).map(|i| entry(op(100, i), "i", "shop.orders")).collect();
    append(&world, &job.id, &five, inserted(Ts { t: 100, i: 1 }, "shop.orders")).await;
    for t in 101..131 {
        append(&world, &job.id, &[entry(op(t, 1), "n", "")], SliceSummary::default()).await;
    }
    let after = [
        entry(op(140, 1), "d", "shop.orders"),
        entry(op(141, 1), "d", "shop.orders"),
        entry(op(150, 1), "i", "shop.carts"),
        entry(op(500, 1), "i", "shop.late"),
    ];
    append(&world, &job.id, &after, inserted(Ts { t: 140, i: 1 }, "shop.orders")).await;
    world.snapshot(&job.id, op(100, 3), 0, 1).await;
    let cut = world.get(&world.backup("/cut?at=130,1")).await;
    let before: Vec<_> = cut["before"].as_array().unwrap().iter().map(|e| e["at"]["i"].as_i64().unwrap()).collect();
    assert_eq!(before, [1, 2, 3, 4, 5], "thirty slices back: {cut}");
    let counts = json!([
        { "ns": "shop.orders", "inserts": 0, "updates": 0, "deletes": 2, "ddl": 0 },
        { "ns": "shop.carts", "inserts": 1, "updates": 0, "deletes": 0, "ddl": 0 },
    ]);
    assert_eq!((&cut["nextMinute"], &cut["nextMinuteTruncated"]), (&counts, &json!(false)));
    assert_eq!(cut["after"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_estimate_says_room_version_and_a_time_only_where_one_was_measured() {
    let world = World::new().await;
    let daemon = world.daemon("d1", 1 << 40).await;
    let job = world.job().await;
    world.metadb.bind_daemon(&job.id, None, &daemon.id).await.unwrap();
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(200, 1)], SliceSummary::default()).await;
    let root = world.snapshot(&job.id, op(110, 1), 0, 1).await;
    let path = world.backup("/restores/estimate?at=150,1");
    let found = world.get(&path).await;
    assert_eq!((&found["snapshot"], &found["replayEntries"]), (&json!(root.id.to_string()), &json!(2)));
    assert_eq!(
        (&found["serverVersion"], &found["fcv"], &found["daemon"]),
        (&json!("6.0.5"), &json!("6.0"), &json!("d1"))
    );
    let need = root.logical_bytes + root.logical_bytes / 4 + (512 << 20);
    assert_eq!(
        (&found["scratchBytes"], &found["freeBytes"], &found["fits"]),
        (&json!(need), &json!(1_u64 << 40), &json!(true))
    );
    assert_eq!(found["seconds"], json!(null));
    assert!(found["basis"].as_str().unwrap().contains("nothing is known"), "{found}");
    assert!(world.metadb.restore_jobs(&job.id).await.unwrap().is_empty(), "nothing was made");
    // One is made, as a daemon does.
    let made = ok(world.post(&world.backup("/restores"), json!({ "at": "150,1" })).await).await;
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let asked = world.metadb.restore_job(&id).await.unwrap().unwrap();
    let fence = world.metadb.claim_restore(&id, &asked.lease, daemon.id.as_str()).await.unwrap().unwrap();
    let mut update = RestoreUpdate { phase: Some("replay".into()), ..RestoreUpdate::default() };
    world.metadb.set_restore_state(&fence, RestoreState::Running, &update).await.unwrap();
    let shown = world.get(&format!("/restores/{id}")).await;
    assert_eq!((&shown["daemon"], &shown["attempt"], &shown["ended"]), (&json!("d1"), &json!(1), &json!(null)));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    update.root = Some(root.id.to_string());
    world.metadb.set_restore_state(&fence, RestoreState::Ready, &update).await.unwrap();
    let found = world.get(&path).await;
    assert!(found["seconds"]["most"].as_u64().unwrap() >= 1, "{found}");
    assert!(found["basis"].as_str().unwrap().contains("1 past restore of rs0"), "{found}");
    // A daemon without room is told before, not after.
    let small = world.daemon("d2", 1 << 20).await;
    world.metadb.bind_daemon(&job.id, Some(&daemon.id), &small.id).await.unwrap();
    assert_eq!(world.get(&path).await["fits"], false);
    let whole = world.get(&world.backup(&format!("/restores/estimate?snapshot={}", root.id))).await;
    assert_eq!((&whole["scratchBytes"], &whole["fits"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn of_two_histories_the_cut_and_the_estimate_show_either() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(200, 1)], SliceSummary::default()).await;
    let older = world.snapshot(&job.id, op(110, 1), 0, 1).await;
    world.ledger.force_close(&job.id, CloseReason::OtherHistory, "x").await.unwrap();
    world.open_chain(&job.id, op(105, 1)).await;
    world.append(&job.id, &[op(105, 1), op(300, 1)], SliceSummary::default()).await;
    let younger = world.snapshot(&job.id, op(108, 1), 1, 1).await;
    for path in ["/cut?at=150,1", "/restores/estimate?at=150,1"] {
        let found = world.get(&world.backup(path)).await;
        assert_eq!(found["snapshot"], younger.id.to_string(), "{path}");
        let two: Vec<_> = found["histories"].as_array().unwrap().iter().map(|h| (&h["chain"], &h["chosen"])).collect();
        assert_eq!(two, [(&json!(1), &json!(true)), (&json!(0), &json!(false))], "{path}");
        assert!(found["histories"][1]["reason"].as_str().unwrap().contains("rolled back"), "{found}");
        let found = world.get(&world.backup(&format!("{path}&chain=0"))).await;
        assert_eq!((&found["snapshot"], &found["chain"]), (&json!(older.id.to_string()), &json!(0)), "{path}");
    }
}
