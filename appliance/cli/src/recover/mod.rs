//! `holdfast recover`: snapshots and instants from a blockstore database or a store of packs, when the appliance is lost.
//!
//! It talks to no appliance. What it does is in the crate `holdfast-recover`; here is what is typed and what is printed.

mod args;
mod keys;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use holdfast_recover::{
    Backup, CheckReport, Contents, OnStep, RestoreOptions, Restored, Source, Step, check, check_target, plan, restore,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use args::RecoverCommand;
use args::{FromArgs, ListArgs, RestoreArgs};

use crate::output::{Output, bytes, table};

pub(crate) async fn run(command: RecoverCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        RecoverCommand::List(args) => list(*args, output).await,
        RecoverCommand::Restore(args) => run_restore(*args, output).await,
    }
}

async fn open(from: &FromArgs) -> anyhow::Result<Source> {
    let keys = keys::read(&from.key_files)?;
    Ok(Source::open(&from.place()?, keys).await?)
}

/// Ctrl-C calls the work off in order.
fn cancelled_by_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    token
}

/// Shows steps in one line.
fn shown_by(bar: &ProgressBar) -> OnStep {
    let bar = bar.clone();
    Arc::new(move |step: Step| {
        let text = match (step.total, step.is_bytes) {
            (0, _) if step.done == 0 => step.what.to_owned(),
            (0, _) => format!("{}: {}", step.what, step.done),
            (total, true) => format!("{}: {} of {}", step.what, bytes(&json!(step.done)), bytes(&json!(total))),
            (total, false) => format!("{}: {} of {total}", step.what, step.done),
        };
        bar.set_message(text);
    })
}

async fn list(args: ListArgs, output: &Output) -> anyhow::Result<()> {
    let spinner = output.spinner("look what there is");
    let source = open(&args.from).await?;
    let contents = source.contents().await?;
    let checked = if args.check {
        let scratch = args.scratch.unwrap_or_else(std::env::temp_dir);
        let scratch = scratch.join(format!("holdfast-recover-{}", std::process::id()));
        let done = check(&source, &contents, &scratch, shown_by(&spinner), cancelled_by_signal()).await;
        if scratch.is_dir() {
            std::fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        }
        Some(done?)
    } else {
        None
    };
    spinner.finish_and_clear();
    let mut value = serde_json::to_value(&contents).context("show what there is")?;
    if let Some(checked) = &checked {
        value["check"] = serde_json::to_value(checked).context("show what there is")?;
    }
    output.value(&value, |_| show(&contents, checked.as_ref()));
    Ok(())
}

fn show(contents: &Contents, checked: Option<&CheckReport>) -> String {
    let mut out: Vec<String> = contents.backups.iter().map(show_backup).collect();
    if contents.backups.is_empty() {
        out.push("there is no snapshot that can be read".to_owned());
    }
    out.extend(contents.faults.iter().map(|fault| format!("! {fault}")));
    out.extend(contents.remarks.iter().cloned());
    if let Some(checked) = checked {
        let total: usize = contents.backups.iter().map(|backup| backup.snapshots.len()).sum();
        out.push(format!("checked: {} of {total} snapshots are whole", checked.whole.len()));
        out.extend(checked.faults.iter().map(|fault| format!("! {fault}")));
    }
    out.join("\n")
}

fn show_backup(backup: &Backup) -> String {
    let mut out = format!("{}/{}\n", backup.group, backup.rs);
    for range in &backup.ranges {
        let (from, to) = (&range.from, &range.to);
        out.push_str(&format!(
            "restorable from {} ({},{}) to {} ({},{})\n",
            from.at, from.t, from.i, to.at, to.t, to.i
        ));
    }
    let rows: Vec<Vec<String>> = backup
        .snapshots
        .iter()
        .map(|one| {
            vec![
                one.id.to_string(),
                one.instant.at.clone(),
                one.reaches.at.clone(),
                bytes(&json!(one.bytes)),
                one.server_version.clone(),
                one.state.to_owned(),
                if one.key.is_some() { "yes".to_owned() } else { "no".to_owned() },
                one.label.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["snapshot", "instant", "reaches", "size", "release", "state", "encrypted", "label"];
    out.push_str(&table(&headings, &rows));
    out.push('\n');
    for fault in &backup.faults {
        out.push_str(&format!("! {fault}\n"));
    }
    out
}

async fn run_restore(args: RestoreArgs, output: &Output) -> anyhow::Result<()> {
    check_target(&args.to)?;
    let target = args.target()?;
    let spinner = output.spinner("look what there is");
    let source = open(&args.from).await?;
    let contents = source.contents().await?;
    let plan = plan(&contents, &target)?;
    output.say(&format!(
        "{}/{}: snapshot {} of {}, {}{}",
        plan.backup.group,
        plan.backup.rs,
        plan.base.id,
        plan.base.instant.at,
        bytes(&json!(plan.base.bytes)),
        plan.to.map_or_else(String::new, |to| format!(", then the oplog up to {to}")),
    ));
    // Only an instant needs one; a missing one is told when it does.
    let mongod = match plan.to {
        Some(_) => Some(crate::up::find_mongod(args.mongod.as_deref())?),
        None => None,
    };
    let options = RestoreOptions { to: args.to.clone(), mongod };
    let restored = restore(&source, &plan, &options, shown_by(&spinner), cancelled_by_signal()).await;
    spinner.finish_and_clear();
    // The spinner's thread is gone before the last word.
    tokio::time::sleep(Duration::ZERO).await;
    let restored = restored?;
    output.value(&as_json(&restored, &args.to), |_| next_step(&restored, &args.to));
    Ok(())
}

fn as_json(restored: &Restored, to: &Path) -> Value {
    json!({
        "dbpath": to, "instant": restored.instant, "serverVersion": restored.server_version, "open": restored.open,
        "replicaSet": restored.rs, "remarks": restored.remarks,
    })
}

fn next_step(restored: &Restored, to: &Path) -> String {
    let Restored { instant, server_version, open, rs, remarks } = restored;
    let mut out = format!(
        "{} holds everything up to the oplog entry of {} ({},{}).\n",
        to.display(),
        instant.at,
        instant.t,
        instant.i
    );
    for remark in remarks {
        out.push_str(&format!("! on the way: {remark}\n"));
    }
    out.push_str(&format!(
        "Next: look at it with a mongod of release {server_version}\n  {open} --setParameter ttlMonitorEnabled=false\n\
         or seed a replica set from it\n  {open} --replSet {rs} --bind_ip_all\n  \
         rs.initiate({{_id: \"{rs}\", members: [{{_id: 0, host: \"HOST:27017\"}}]}})\n\
         {}/restoreInfo.json says more.",
        to.display()
    ));
    out
}
