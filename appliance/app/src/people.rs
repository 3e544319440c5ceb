//! People, from the server's own command line: the set-up code, the set-up from a file, the way back in for an administrator who is locked out.
//!
//! Whoever may run this has the master key and the database anyway; what it does stands in the audit log.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use holdfast_domain::Role;
use holdfast_metadb::{AuditEntry, MetaDb, OneTimeKind, Settings, User};
use holdfast_service::atomic_write;
use holdfast_web::{SetupFile, hash_password, new_code, normal_code, sign_in_family};

/// Mode of the code's file.
const CODE_MODE: u32 = 0o600;

/// While the appliance has no administrator: sees to it that there is a set-up code, and tells it in the log and in its file. Later: removes
/// the file.
pub(crate) async fn offer_setup_code(metadb: &MetaDb, path: &Path) -> anyhow::Result<()> {
    if metadb.claimed().await.context("look whether the appliance is claimed")? {
        return remove(path);
    }
    if let Ok(known) = fs::read_to_string(path)
        && metadb.is_setup_code(&normal_code(&known)).await.context("check the set-up code")?
    {
        tracing::info!(
            code = known.trim(),
            "no administrator yet: claim this appliance in a browser with the set-up code"
        );
        return Ok(());
    }
    let code = new_code();
    if metadb.put_setup_code(&normal_code(&code), false).await.context("set the set-up code")? {
        return tell(path, &code);
    }
    tracing::info!(
        file = %path.display(),
        "no administrator yet; another instance has told the set-up code, in its log and its file. `holdfast-app setup-code` makes a new one"
    );
    Ok(())
}

fn tell(path: &Path, code: &str) -> anyhow::Result<()> {
    atomic_write(path, format!("{code}\n").as_bytes(), CODE_MODE)
        .with_context(|| format!("write {}", path.display()))?;
    tracing::info!(code, "no administrator yet: claim this appliance in a browser with the set-up code");
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a new set-up code and prints it.
pub(crate) async fn renew_setup_code(settings: &Settings) -> anyhow::Result<()> {
    let databases = crate::init::open(settings).await?;
    let code = new_code();
    let put = databases.metadb.put_setup_code(&normal_code(&code), true).await;
    if !put.context("set the set-up code")? {
        bail!(
            "this appliance has an administrator: `holdfast-app reset-administrator --email ADDRESS` lets one in again"
        );
    }
    tell(&settings.setup_code_path(), &code)?;
    println!("set-up code: {code}");
    Ok(())
}

/// Sets a new appliance up as a file says: account, first group, mail server, public URL, policies and defaults.
pub(crate) async fn setup_from_file(settings: &Settings, file: &PathBuf) -> anyhow::Result<()> {
    let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let setup =
        SetupFile::parse(&text).map_err(|why| anyhow::anyhow!("{} is no set-up file: {why}", file.display()))?;
    let databases = crate::init::open(settings).await?;
    let done = setup.carry_out(&databases.metadb, &databases.master_key).await;
    let Some(done) = done.map_err(|why| anyhow::anyhow!("set up as {} says: {why}", file.display()))? else {
        bail!("this appliance has an administrator already; nothing was changed");
    };
    note(&databases.metadb, "appliance claimed from a file", &done.email).await?;
    remove(&settings.setup_code_path())?;
    println!("ready: {} administrates this appliance, group {}. Remove {}", done.email, done.group, file.display());
    Ok(())
}

/// Lets an administrator in again, with a new password that is printed once.
pub(crate) async fn reset_administrator(settings: &Settings, email: &str) -> anyhow::Result<()> {
    let databases = crate::init::open(settings).await?;
    let metadb = &databases.metadb;
    let password = new_code().to_lowercase();
    let phc = hash_password(&password).await?;
    let user = match metadb.user_by_email(email).await.context("look for the account")? {
        Some(user) => {
            metadb.put_password(&user.id, &phc).await.context("set the password")?;
            // The provider or directory may be what is broken: from now on this account needs neither.
            metadb.unlink_user(&user.id).await.context("let it sign in here")?;
            user
        }
        None => {
            let user = User::new(email, "Administrator", Some(phc), vec![Role::Owner]);
            metadb.create_user(&user).await.context("make the account")?;
            user
        }
    };
    let mut roles = user.global_roles.clone();
    roles.push(Role::Owner);
    roles.sort_unstable();
    roles.dedup();
    metadb.put_standing(&user.id, &roles, false).await.context("make it a global owner")?;
    metadb.put_totp(&user.id, None, &[]).await.context("remove the second factor")?;
    metadb.end_sessions(&user.id, None).await.context("end its sessions")?;
    metadb.revoke_api_keys_of(&user.id).await.context("revoke its API keys")?;
    for kind in [OneTimeKind::PasswordReset, OneTimeKind::EmailChange] {
        metadb.void_one_time(kind, &user.id).await.context("end its links")?;
    }
    metadb.unthrottle_family(&sign_in_family(&user.email)).await.context("end its lock-outs")?;
    note(metadb, "administrator reset", &user.email).await?;
    println!("{} is a global owner. Password, to be changed after signing in: {password}", user.email);
    Ok(())
}

async fn note(metadb: &MetaDb, action: &str, target: &str) -> anyhow::Result<()> {
    let entry = AuditEntry {
        who: "command line of the server".into(),
        kind: "operator".into(),
        action: action.into(),
        target: target.into(),
        ..AuditEntry::default()
    };
    metadb.audit(entry).await.context("write the audit log")
}
