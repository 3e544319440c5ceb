//! `holdfast restores`.

use serde_json::Value;

use super::items;
use crate::{
    args::RestoresCommand,
    client::Client,
    output::{Output, bytes, field, optime, table},
};

/// Restores asked for at a time.
const PAGE: u32 = 200;

pub(crate) async fn run(command: RestoresCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        RestoresCommand::List { group, limit } => {
            let all = list(client, &group, limit as usize).await?;
            output.value(&Value::Array(all), show);
        }
        RestoresCommand::Show { id } => output.value(&client.get(&["restores", &id]).await?, one),
        RestoresCommand::Revoke { id } => {
            let answer = client.delete(&["restores", &id, "link"]).await?;
            output.value(&answer, |_| {
                format!(
                    "the link of restore {id} opens no further download; what was made for it alone goes to the trash"
                )
            });
        }
    }
    Ok(())
}

/// Page by page, so that no answer grows with the history.
async fn list(client: &Client, group: &str, limit: usize) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    while all.len() < limit {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = client.get_with(&["groups", group, "restores"], &query).await?;
        all.extend(items(&page["restores"]).iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    all.truncate(limit);
    Ok(all)
}

fn state(restore: &Value) -> String {
    if restore["revoked"].is_object() { "revoked".to_owned() } else { field(restore, "state") }
}

fn used(restore: &Value) -> String {
    format!("{} of {}", field(restore, "usesSpent"), field(restore, "uses"))
}

fn show(value: &Value) -> String {
    let row = |r: &Value| {
        vec![
            field(r, "id"),
            field(r, "created"),
            field(r, "createdBy"),
            field(r, "reason"),
            field(r, "rs"),
            optime(&r["optime"]),
            state(r),
            bytes(&r["bytes"]),
            used(r),
        ]
    };
    let headings = ["id", "asked for", "by", "why", "backup", "optime", "state", "size", "downloads"];
    table(&headings, &items(value).iter().map(row).collect::<Vec<_>>())
}

fn one(r: &Value) -> String {
    let fields = [
        "id",
        "name",
        "rs",
        "at",
        "created",
        "createdBy",
        "reason",
        "daemon",
        "attempt",
        "started",
        "ended",
        "expires",
        "error",
    ];
    let mut rows: Vec<_> = fields.iter().map(|name| vec![(*name).to_owned(), field(r, name)]).collect();
    rows.push(vec!["state".to_owned(), state(r)]);
    rows.push(vec!["downloads".to_owned(), used(r)]);
    rows.push(vec!["size".to_owned(), bytes(&r["bytes"])]);
    table(&["", ""], &rows).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn histories_tell_a_revoked_link_from_one_that_ran_out() {
        let revoked = json!({"state": "expired", "revoked": {"by": "ops", "at": "2026-11-22T14:03:07Z"}});
        assert_eq!(state(&revoked), "revoked");
        assert_eq!(state(&json!({"state": "expired", "revoked": null})), "expired");
        let listed = show(&json!([{"id": "01", "createdBy": "ann", "reason": "ticket 7", "usesSpent": 1, "uses": 3}]));
        assert!(listed.contains("ticket 7") && listed.contains("1 of 3"), "{listed}");
    }
}
