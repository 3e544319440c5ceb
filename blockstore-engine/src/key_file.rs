//! The file in which a group's key is exported: what a recovery without the app database needs beside blocks and roots.
//!
//! Invariants: a file with a typing error, a torn one, and one whose parts do not belong together are refused; unknown fields are taken, so
//! that a later release may add some. `docs/format.md` draws it. The text form (`HFKEY-...`) is read too, since it is what a printed page shows.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::keys::{GroupKey, KEY_BYTES, KeyError};

const FORMAT: &str = "holdfast group key";
const VERSION: u32 = 1;
/// Hex digits of the checksum.
const SUM_DIGITS: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFile {
    format: String,
    version: u32,
    /// For people alone.
    #[serde(default)]
    group: String,
    key_id: String,
    key: String,
    checksum: String,
}

pub(crate) fn checksum(key_id: &str, key: &str) -> String {
    let sum = blake3::hash(format!("{FORMAT} {VERSION}\n{key_id}\n{key}\n").as_bytes());
    sum.to_hex()[..SUM_DIGITS].to_owned()
}

impl GroupKey {
    /// The key as a file. `group` is for people: nothing reads it.
    ///
    /// # Panics
    /// Never: strings and a number are always JSON.
    #[must_use]
    pub fn to_file(&self, group: &str) -> String {
        let (key_id, key) = (self.id().to_string(), hex::encode(self.bytes()));
        let file = KeyFile {
            format: FORMAT.into(),
            version: VERSION,
            group: group.into(),
            checksum: checksum(&key_id, &key),
            key_id,
            key,
        };
        let mut text = serde_json::to_string_pretty(&file).expect("strings and a number are always JSON");
        text.push('\n');
        text
    }

    /// Reads a file of [`Self::to_file`], or the text of [`Self::export`].
    ///
    /// # Errors
    /// `NotAKey`, `Mistyped` when the parts do not fit each other, `OtherKind` for a version or kind that this release does not know.
    pub fn from_file(text: &str) -> Result<Self, KeyError> {
        if !text.trim_start().starts_with('{') {
            return text.trim().parse();
        }
        let mut file: KeyFile = serde_json::from_str(text).map_err(|_| KeyError::NotAKey)?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(KeyError::OtherKind);
        }
        if checksum(&file.key_id, &file.key) != file.checksum {
            return Err(KeyError::Mistyped);
        }
        let mut bytes = [0; KEY_BYTES];
        let decoded = hex::decode_to_slice(&file.key, &mut bytes).map_err(|_| KeyError::Mistyped);
        file.key.zeroize();
        decoded?;
        let key = Self::from_bytes(bytes);
        bytes.zeroize();
        if key.id().to_string() == file.key_id { Ok(key) } else { Err(KeyError::Mistyped) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_reads_back_and_damage_is_told() {
        let key = GroupKey::generate();
        let file = key.to_file("shop");
        assert!(GroupKey::from_file(&file).unwrap() == key);
        assert!(GroupKey::from_file(&format!("\n{}\n", key.export())).unwrap() == key);
        let digit = hex::encode(key.bytes()).chars().next().unwrap();
        let other = if digit == '0' { "1" } else { "0" };
        let at = file.find("\"key\": \"").unwrap() + 8;
        let mut typed = file.clone();
        typed.replace_range(at..=at, other);
        assert_eq!(GroupKey::from_file(&typed).err(), Some(KeyError::Mistyped));
        let swapped = file.replace(&key.id().to_string(), &GroupKey::generate().id().to_string());
        assert_eq!(GroupKey::from_file(&swapped).err(), Some(KeyError::Mistyped));
        assert_eq!(GroupKey::from_file(&file[..file.len() / 2]).err(), Some(KeyError::NotAKey));
        assert_eq!(GroupKey::from_file(&file.replace(": 1,", ": 2,")).err(), Some(KeyError::OtherKind));
        assert!(GroupKey::from_file(&file.replace("\"group\"", "\"new\": 1, \"group\"")).unwrap() == key);
    }
}
