//! What administrators do: applyOps, users, roles, stored functions, settings.

use bson::{Bson, doc};

use super::{DATABASE, Steps};
use crate::workload::command::{insert, ok, run as command};

pub(super) async fn run(steps: &mut Steps) {
    let (db, admin) = (steps.db.clone(), steps.client.database("admin"));
    let (d, a) = (&db, &admin);
    let user_ops = doc! { "applyOps": [
        { "op": "i", "ns": "app.uao", "o": { "_id": 1 } },
        { "op": "i", "ns": "app.uao", "o": { "_id": 2 } },
    ] };
    steps
        .step("applyOps of a user", async {
            command(d, doc! { "create": "uao" }).await?;
            command(a, user_ops).await.map(drop)
        })
        .await;
    steps.step("note in the oplog", ok(command(a, doc! { "appendOplogNote": 1, "data": { "a": 1 } }))).await;
    steps
        .step(
            "create user",
            ok(command(a, doc! { "createUser": "bob", "pwd": "pw", "roles": ["readWriteAnyDatabase"] })),
        )
        .await;
    let role = doc! { "createRole": "r1", "privileges": [{ "resource": { "db": DATABASE, "collection": "" }, "actions": ["find"] }], "roles": [] };
    steps.step("create role", ok(command(d, role))).await;
    steps
        .step(
            "grant role",
            ok(command(a, doc! { "grantRolesToUser": "bob", "roles": [{ "role": "r1", "db": DATABASE }] })),
        )
        .await;
    let grant = doc! { "grantPrivilegesToRole": "r1", "privileges": [{ "resource": { "db": DATABASE, "collection": "plain" }, "actions": ["insert"] }] };
    steps.step("grant privileges", ok(command(d, grant))).await;
    steps
        .step("users changed and dropped", async {
            command(d, doc! { "createUser": "eve", "pwd": "pw", "roles": [] }).await?;
            command(d, doc! { "updateUser": "eve", "customData": { "a": 1 } }).await?;
            command(d, doc! { "createUser": "mal", "pwd": "x", "roles": [] }).await?;
            command(d, doc! { "dropUser": "mal" }).await.map(drop)
        })
        .await;
    steps
        .step("role dropped", async {
            command(d, doc! { "createRole": "r2", "privileges": [], "roles": ["read"] }).await?;
            command(d, doc! { "dropRole": "r2" }).await.map(drop)
        })
        .await;
    let code = Bson::JavaScriptCode("function(){return 1}".into());
    steps.step("stored function", ok(command(d, insert("system.js", [doc! { "_id": "f", "value": code }])))).await;
    // Back to majority at once: what comes after must not depend on this setting.
    for (step, w) in
        [("default write concern 1", Bson::Int32(1)), ("default write concern majority", Bson::from("majority"))]
    {
        steps
            .step(
                step,
                ok(command(a, doc! { "setDefaultRWConcern": 1, "defaultWriteConcern": { "w": w, "wtimeout": 0 } })),
            )
            .await;
    }
    steps
        .step("profiler on and off", async {
            command(d, doc! { "profile": 2 }).await?;
            command(d, doc! { "count": "plain" }).await?;
            command(d, doc! { "profile": 0 }).await.map(drop)
        })
        .await;
}
