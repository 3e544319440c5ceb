//! The least that monitoring needs, tried one by one.

use bson::{Document, doc};
use holdfast_agent_api::PrivilegeCheck;
use mongodb::Client;

use crate::backup::{command_code, run};

/// Server's codes: not authorised, login needed.
const REFUSED: [i32; 2] = [13, 18];

fn needs(member: bool) -> Vec<(&'static str, &'static str, Document)> {
    let mut all = vec![
        ("see the server's status", "admin", doc! { "serverStatus": 1, "metrics": 0, "wiredTiger": 0 }),
        ("see the machine", "admin", doc! { "hostInfo": 1 }),
        ("see the command line", "admin", doc! { "getCmdLineOpts": 1 }),
        ("read start-up warnings", "admin", doc! { "getLog": "startupWarnings" }),
        ("list the databases", "admin", doc! { "listDatabases": 1, "nameOnly": true }),
        ("read sizes of databases", "admin", doc! { "dbStats": 1 }),
        ("read sizes of collections", "admin", doc! { "collStats": "system.version" }),
    ];
    if member {
        all.push(("see the set's state", "admin", doc! { "replSetGetStatus": 1 }));
        all.push(("see the set's configuration", "admin", doc! { "replSetGetConfig": 1 }));
        all.push(("see which collections are busy", "admin", doc! { "top": 1 }));
        all.push(("read the oplog", "local", doc! { "find": "oplog.rs", "limit": 1, "singleBatch": true }));
    }
    all
}

/// Tries all of them. What fails for another reason than a missing privilege counts as granted.
pub(super) async fn check(client: &Client, member: bool) -> Vec<PrivilegeCheck> {
    let mut out = Vec::new();
    for (need, db, command) in needs(member) {
        let refused = run(client, db, command).await.err();
        let refused = refused.filter(|error| command_code(error).is_some_and(|code| REFUSED.contains(&code)));
        let error = refused.map(|error| error.to_string());
        out.push(PrivilegeCheck { need: need.to_owned(), granted: error.is_none(), error });
    }
    out
}
