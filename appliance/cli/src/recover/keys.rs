//! Exported keys of groups that encrypt, read from files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use holdfast_recover::{GroupKey, Keyring};
use serde_json::Value;

/// Largest key file, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// The keys of these files.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Keyring> {
    let keys = Keyring::default();
    for file in files {
        keys.insert(&key(file).with_context(|| format!("read the key in {}", file.display()))?);
    }
    Ok(keys)
}

fn key(file: &Path) -> anyhow::Result<GroupKey> {
    if std::fs::metadata(file)?.len() > BYTES_MAX {
        bail!("it is too large to be a key");
    }
    parse(&std::fs::read_to_string(file)?)
}

/// The export's JSON with a field `key`, or the key's text alone as it is printed.
fn parse(text: &str) -> anyhow::Result<GroupKey> {
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(text.parse()?);
    }
    let export: Value = serde_json::from_str(text).context("the export does not decode")?;
    Ok(export["key"].as_str().context("the export has no field key")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_give_the_same_key() {
        let key = GroupKey::generate();
        let text = key.export();
        let json = serde_json::json!({ "format": 1, "group": "g", "key": text }).to_string();
        for form in [text.clone(), format!("{text}\n"), json] {
            assert!(parse(&form).ok() == Some(key.clone()));
        }
        for bad in ["", "{}", "HFKEY-1", "{\"key\": 5}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
