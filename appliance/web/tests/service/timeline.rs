//! The timeline, from summaries alone.

use holdfast_domain::{CloseReason, OpKind, SummaryBuilder, Ts};
use reqwest::StatusCode;
use serde_json::json;

use crate::world::{World, op, refused};

#[tokio::test]
async fn counts_marks_chains_and_gaps() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(60, 1)).await;
    let mut summary = SummaryBuilder::default();
    summary.count(Ts { t: 61, i: 1 }, "a.b", OpKind::Insert);
    summary.count(Ts { t: 119, i: 1 }, "a.c", OpKind::Insert);
    summary.count(Ts { t: 125, i: 1 }, "a.b", OpKind::Update);
    summary.ddl(op(126, 1), "a.$cmd", "drop");
    summary.election(op(127, 1));
    world.append(&job.id, &[op(60, 1), op(127, 1)], summary.finish()).await;
    let mut later = SummaryBuilder::default();
    later.count(Ts { t: 185, i: 1 }, "a.b", OpKind::Delete);
    world.append(&job.id, &[op(185, 1)], later.finish()).await;
    world.ledger.force_close(&job.id, CloseReason::WindowLost, "x").await.unwrap();
    world.open_chain(&job.id, op(400, 1)).await;
    let all = world.get(&world.backup("/timeline?from=1,0&to=1000,0")).await;
    let bins = json!([
        { "from": 60, "inserts": 2, "updates": 0, "deletes": 0, "ddl": 0 },
        { "from": 120, "inserts": 0, "updates": 1, "deletes": 0, "ddl": 1 },
        { "from": 180, "inserts": 0, "updates": 0, "deletes": 1, "ddl": 0 },
    ]);
    assert_eq!((&all["binSeconds"], &all["bins"]), (&json!(60), &bins));
    let events = json!([
        { "at": all["events"][0]["at"], "to": 126, "kind": "drop", "count": 1, "command": "drop", "ns": "a.$cmd" },
        { "at": all["events"][1]["at"], "to": 127, "kind": "election", "count": 1, "command": "", "ns": "" },
    ]);
    assert_eq!(all["events"], events);
    assert_eq!((&events[0]["at"]["t"], &events[1]["at"]["t"]), (&json!(126), &json!(127)));
    assert_eq!((&all["chains"][0]["reason"], &all["chains"][1]["closed"]), (&json!("windowLost"), &json!(false)));
    assert_eq!((&all["gaps"][0]["from"]["t"], &all["gaps"][0]["to"]["t"]), (&json!(185), &json!(400)));
    let part = world.get(&world.backup("/timeline?from=1970-01-01T00:03:00Z&to=1970-01-01T00:04:00Z")).await;
    assert_eq!(part["bins"].as_array().unwrap().len(), 1);
    assert_eq!(part["events"], json!([]));
    // Counted by the daemon: the same answer.
    assert!(!world.ledger.roll_up(&job.id).await.unwrap());
    assert_eq!(world.get(&world.backup("/timeline?from=1,0&to=1000,0")).await, all);
    let year = world.get(&world.backup("/timeline?from=1,0&to=31536000,0")).await;
    let day = json!([{ "from": 0, "inserts": 2, "updates": 1, "deletes": 1, "ddl": 1 }]);
    assert_eq!((&year["binSeconds"], &year["bins"]), (&json!(86_400), &day));
    for wrong in ["from=soon", "from=20,0&to=10,0"] {
        let path = world.backup(&format!("/timeline?{wrong}"));
        let answer = world.call(Some(&world.admin), reqwest::Method::GET, &path, None).await;
        refused(answer, StatusCode::BAD_REQUEST, "badRequest").await;
    }
}
