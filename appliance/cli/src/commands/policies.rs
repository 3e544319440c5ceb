//! `holdfast policies`: what is promised of a group's backups, shown and set.

use std::str::FromStr;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::items;
use crate::{
    client::Client,
    output::{Output, table},
};

/// What is promised of a group's backups, or of one of them.
#[derive(Debug, Subcommand)]
pub(crate) enum PoliciesCommand {
    /// Shows what is promised in a group, and of each of its backups.
    Show {
        /// Group, by name or id.
        group: String,
    },
    /// Sets what is promised; what is not given stays.
    Set {
        /// GROUP, for all its backups, or GROUP/RS.
        of: String,
        /// Every second so far back must be restorable: 36h, 7d, or none.
        #[arg(long, value_name = "TIME")]
        recovery_window: Option<Promise>,
        /// Writes of so long may be lost: 30s, 5m, or none.
        #[arg(long, value_name = "TIME")]
        unprotected: Option<Promise>,
        /// A restore may take so long: 30m, 4h, or none.
        #[arg(long, value_name = "TIME")]
        restore: Option<Promise>,
    },
}

/// A length of time, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise(Option<u32>);

impl FromStr for Promise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = || format!("{text:?} is no length of time: 30s, 5m, 4h, 7d, or none");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let count: u32 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(unit).map(|seconds| Self(Some(seconds))).ok_or_else(wrong)
    }
}

const PARTS: [&str; 3] = ["recoveryWindowSeconds", "unprotectedSeconds", "restoreSeconds"];

pub(crate) async fn run(command: PoliciesCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        PoliciesCommand::Show { group } => {
            output.value(&client.get(&["groups", &group, "policies"]).await?, show);
        }
        PoliciesCommand::Set { of, recovery_window, unprotected, restore } => {
            let wanted = [recovery_window, unprotected, restore];
            anyhow::ensure!(
                wanted.iter().any(Option::is_some),
                "nothing is to be set: give --recovery-window, --unprotected or --restore"
            );
            let (group, rs) = match of.split_once('/') {
                Some((group, rs)) => (group, Some(rs)),
                None => (of.as_str(), None),
            };
            let (all, tag) = client.get_tagged(&["groups", group, "policies"]).await?;
            let (old, seen) = match rs {
                None => (&all["policy"], tag),
                Some(rs) => {
                    let found = items(&all["backups"]).iter().find(|backup| backup["rs"] == rs);
                    let found = found.with_context(|| format!("{rs} is not backed up in {group}"))?;
                    (&found["own"], Some(format!("\"{}\"", found["revision"])))
                }
            };
            let body = changed(old, wanted);
            let path: Vec<&str> = match rs {
                None => vec!["groups", group, "policies"],
                Some(rs) => vec!["groups", group, "backups", rs, "policy"],
            };
            client.put_seen(&path, body, seen).await?;
            output.value(&client.get(&["groups", group, "policies"]).await?, show);
        }
    }
    Ok(())
}

/// What is set, with what is not given as it was.
fn changed(old: &Value, wanted: [Option<Promise>; 3]) -> Value {
    let mut body = json!({});
    for (part, wanted) in PARTS.into_iter().zip(wanted) {
        body[part] = wanted.map_or_else(|| old[part].clone(), |Promise(seconds)| json!(seconds));
    }
    body
}

fn time(seconds: &Value) -> String {
    match seconds.as_u64() {
        None => "-".to_owned(),
        Some(s) if s % 86_400 == 0 => format!("{}d", s / 86_400),
        Some(s) if s % 3_600 == 0 => format!("{}h", s / 3_600),
        Some(s) if s % 60 == 0 => format!("{}m", s / 60),
        Some(s) => format!("{s}s"),
    }
}

fn show(value: &Value) -> String {
    let row = |name: &str, policy: &Value| {
        let mut row = vec![name.to_owned()];
        row.extend(PARTS.map(|part| time(&policy[part])));
        row
    };
    let mut rows = vec![row("the group", &value["policy"])];
    rows.extend(items(&value["backups"]).iter().map(|b| row(b["rs"].as_str().unwrap_or("-"), &b["effective"])));
    table(&["of", "recovery window", "unprotected", "restore"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("4h", 14_400), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Promise(Some(seconds))));
            assert_eq!(time(&json!(seconds)), text);
        }
        assert_eq!("none".parse(), Ok(Promise(None)));
        for bad in ["", "5", "m", "5x", "-5m", "99999999999d", "4294967295d"] {
            assert!(bad.parse::<Promise>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        let old = json!({ "recoveryWindowSeconds": 3600, "unprotectedSeconds": 60 });
        let body = changed(&old, [None, Some(Promise(None)), Some(Promise(Some(600)))]);
        assert_eq!(body, json!({ "recoveryWindowSeconds": 3600, "unprotectedSeconds": null, "restoreSeconds": 600 }));
    }
}
