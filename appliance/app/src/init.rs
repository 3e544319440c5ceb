//! First start: collections, indexes, and a key for the operator. Can be repeated; two at once end with one key in the file.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use holdfast_metadb::Settings;
use holdfast_service::{Ca, atomic_write, create_once};
use tokio_util::sync::CancellationToken;

use crate::{databases, packs};

/// How long the databases may take to answer.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Mode of the key's file.
const KEY_MODE: u32 = 0o600;

/// Creates what is missing.
pub(crate) async fn init(
    settings: &Settings,
    admin_key_file: &Path,
    pack_directory: Option<&Path>,
) -> anyhow::Result<()> {
    let databases = open(settings).await?;
    let ca = Ca::load_or_create(&settings.ca_dir()).context("the appliance's CA")?;
    let present = match fs::read_to_string(admin_key_file) {
        Ok(text) => databases.metadb.verify_api_key(text.trim()).await.context("check the admin key")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("read {}", admin_key_file.display())),
    };
    if let Some(folder) = pack_directory {
        packs::keep_blocks_in(&databases, folder).await.context("keep blocks in a folder")?;
    }
    if present.is_none() {
        make_key(&databases, admin_key_file).await?;
    }
    crate::people::offer_setup_code(&databases.metadb, &settings.setup_code_path()).await?;
    println!("ready: admin key in {}, CA pin {}", admin_key_file.display(), ca.pin());
    Ok(())
}

/// Opens the databases for a command of a person, who does not wait for ever.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<databases::Databases> {
    let opened = tokio::time::timeout(WAIT_MAX, databases::open(settings, &CancellationToken::new())).await;
    let Some(databases) = opened.context("the databases do not answer")?? else { bail!("called off") };
    Ok(databases)
}

async fn make_key(databases: &databases::Databases, path: &Path) -> anyhow::Result<()> {
    let new = crate::instance::admin_key("first admin");
    let (_, key) = databases.metadb.create_api_key(new).await.context("make the admin key")?;
    let line = format!("{key}\n");
    let write = || format!("write {}", path.display());
    if path.exists() {
        // It holds a key that this database does not know: of another database, or revoked.
        atomic_write(path, line.as_bytes(), KEY_MODE).with_context(write)?;
    } else {
        create_once(path, line.as_bytes(), KEY_MODE).with_context(write)?;
    }
    Ok(())
}
