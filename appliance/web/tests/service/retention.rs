//! What a retention would do, said before it is saved.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn the_preview_names_what_goes_and_what_that_frees() {
    let world = World::new().await;
    let job = world.job().await;
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    world.open_chain(&job.id, op(now - 40 * 86_400, 1)).await;
    let mut roots = Vec::new();
    for days in [30, 20, 10, 1] {
        roots.push(world.snapshot(&job.id, op(now - days * 86_400, 1), 0, 1).await.id.to_string());
    }
    let path = world.backup("/retention/preview");
    let nothing = json!({
        "recentHours": 0, "sixHourlyDays": 0, "dailyDays": 0, "weeklyWeeks": 0, "monthlyMonths": 0, "oplogWindowDays": 7,
    });
    let before = ok(world.post(&path, nothing.clone()).await).await;
    // The newest stays, and the one that the window starts from.
    let goes: Vec<&str> = before["goes"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(goes, [roots[0].as_str(), roots[1].as_str()]);
    assert_eq!((&before["kept"], &before["freed"]), (&json!(2), &json!(null)), "no account yet");

    world.blockstore.recount(&Default::default(), Arc::new(|_| {}), Default::default()).await.unwrap();
    let counted = ok(world.post(&path, nothing.clone()).await).await;
    let mut unique = 0;
    for id in &roots[..2] {
        unique += world.get(&world.backup(&format!("/snapshots/{id}"))).await["uniqueBytes"].as_u64().unwrap();
    }
    assert!(unique > 0);
    assert!(counted["freed"]["storedBytes"].as_u64().unwrap() >= unique, "{counted}");
    assert_eq!(counted["freed"]["younger"], 0);
    assert!(counted["freed"]["accountAt"].is_string());

    // What lies in the trash already is not freed once more; one that is younger than the account is said.
    let first = roots[0].parse().unwrap();
    world.blockstore.trash(&first, &|_| Ok(())).await.unwrap();
    world.blockstore.recount(&Default::default(), Arc::new(|_| {}), Default::default()).await.unwrap();
    let younger = world.snapshot(&job.id, op(now - 25 * 86_400, 1), 0, 1).await;
    let last = ok(world.post(&path, nothing).await).await;
    let second = world.get(&world.backup(&format!("/snapshots/{}", roots[1]))).await["uniqueBytes"].clone();
    let freed = last["freed"]["storedBytes"].as_u64().unwrap();
    assert!(freed >= second.as_u64().unwrap(), "{last}");
    assert!(freed < counted["freed"]["storedBytes"].as_u64().unwrap(), "the first is in the trash already: {last}");
    assert_eq!(last["freed"]["younger"], 1);
    assert_eq!(last["goes"][0]["id"], younger.id.to_string());
    assert_eq!(world.get(&world.backup("")).await["settings"]["retention"]["dailyDays"], 7, "nothing was saved");
    let bad =
        json!({ "sixHourlyDays": 0, "dailyDays": 9999, "weeklyWeeks": 0, "monthlyMonths": 0, "oplogWindowDays": 7 });
    refused(world.post(&path, bad).await, StatusCode::BAD_REQUEST, "badRequest").await;
}
