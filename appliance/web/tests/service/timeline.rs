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
    let minutes = json!([
        { "minute": 60, "inserts": 2, "updates": 0, "deletes": 0, "ddl": 0 },
        { "minute": 120, "inserts": 0, "updates": 1, "deletes": 0, "ddl": 1 },
        { "minute": 180, "inserts": 0, "updates": 0, "deletes": 1, "ddl": 0 },
    ]);
    assert_eq!(all["minutes"], minutes);
    assert_eq!((&all["ddl"][0]["command"], &all["ddl"][0]["at"]["t"]), (&json!("drop"), &json!(126)));
    assert_eq!(all["elections"], json!([{ "t": 127, "i": 1 }]));
    assert_eq!((&all["chains"][0]["reason"], &all["chains"][1]["closed"]), (&json!("windowLost"), &json!(false)));
    assert_eq!((&all["gaps"][0]["from"]["t"], &all["gaps"][0]["to"]["t"]), (&json!(185), &json!(400)));
    let part = world.get(&world.backup("/timeline?from=1970-01-01T00:03:00Z&to=1970-01-01T00:04:00Z")).await;
    assert_eq!(part["minutes"].as_array().unwrap().len(), 1);
    assert_eq!(part["ddl"], json!([]));
    let path = world.backup("/timeline?from=soon");
    let wrong = world.call(Some(&world.admin), reqwest::Method::GET, &path, None).await;
    refused(wrong, StatusCode::BAD_REQUEST, "badRequest").await;
}
