//! The overview: a verdict per deployment, and one over all of them.

use holdfast_domain::{BackupEvent, SliceSummary};
use serde_json::json;

use crate::world::{World, op};

#[tokio::test]
async fn the_group_says_everything_that_is_not_well() {
    let world = World::new().await;
    let path = format!("/groups/{}/overview", world.group.name);
    let empty = world.get(&path).await;
    assert_eq!((&empty["verdict"]["level"], &empty["deployments"]), (&json!("off"), &json!([])));
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    // One without a backup, one stopped, and more than are looked at side by side.
    world.deployment("lonely", None).await;
    for n in 0..20 {
        let deployment = world.deployment(&format!("rs{n:02}"), None).await;
        let job = world.metadb.create_backup_job(&deployment, Vec::new()).await.unwrap();
        world.open_chain(&job.id, op(now - 10 - n, 1)).await;
        world.append(&job.id, &[op(now - 10 - n, 1), op(now - 5 - n, 1)], SliceSummary::default()).await;
        if n == 7 {
            world.metadb.operate(&job.id, BackupEvent::Stop).await.unwrap();
        }
    }
    let shown = world.get(&path).await;
    let rows = shown["deployments"].as_array().unwrap();
    assert_eq!(rows.len(), 21);
    // No agent sends for any of them: the worst come first, each with its own facts.
    assert_eq!(rows[0]["rs"], "rs00");
    assert_eq!(rows[20]["verdict"]["level"], "off");
    let sentence = shown["verdict"]["sentence"].as_str().unwrap();
    assert_eq!(
        sentence,
        "19 deployments are not protected (rs00, rs01, rs02 and 16 more); 2 deployments are not backed up (lonely, rs07)"
    );
    assert_eq!(shown["verdict"]["level"], "unprotected");
    let listed = world.get(&format!("/groups/{}/backups", world.group.name)).await;
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|b| b["rs"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        (0..20).map(|n| format!("rs{n:02}")).collect::<Vec<_>>(),
        "oldest first, though read side by side"
    );
    for (n, backup) in (0_u32..).zip(listed.as_array().unwrap()) {
        assert_eq!(backup["ledgerOptime"]["t"], now - 5 - n, "each row has its own ledger");
    }
}
