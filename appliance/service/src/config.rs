//! Configuration files: TOML, with errors that name file, line and key.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use crate::error_class::ErrorClass;

/// No configuration file of ours comes near; whatever is larger is something else.
const BYTES_MAX: u64 = 1 << 20;

/// Why a configuration file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something that is not understood.
    #[error("{}:{line}: {}{message}", path.display(), key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Table and key on that line, where there is one.
        key: Option<String>,
        /// What is wrong with it.
        message: String,
    },
}

impl ConfigError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// Reads a TOML file into `T`. Types should carry `deny_unknown_fields`, so that a mistyped key is an error.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_toml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(read)?.len() > BYTES_MAX {
        return Err(read(io::Error::other(format!("longer than {BYTES_MAX} bytes"))));
    }
    let text = fs::read_to_string(path).map_err(read)?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::Content {
            path: path.to_owned(),
            line,
            key: key_at(&text, line),
            message: error.message().to_owned(),
        }
    })
}

/// `[table] key` of a line, as the reader sees it.
fn key_at(text: &str, line: usize) -> Option<String> {
    let mut table = String::new();
    let mut key = None;
    for content in text.lines().take(line) {
        let content = content.trim();
        key = None;
        if content.starts_with('[') {
            table = content.split(']').next().unwrap_or_default().trim_start_matches('[').trim().to_owned();
        } else if let Some((name, _)) = content.split_once('=')
            && !content.starts_with('#')
        {
            key = Some(name.trim().to_owned());
        }
    }
    match (table.is_empty(), key) {
        (true, key) => key,
        (false, None) => Some(format!("[{table}]")),
        (false, Some(key)) => Some(format!("[{table}] {key}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        web: Web,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Web {
        port: u16,
    }

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        fs::write(&path, text).unwrap();
        load_toml(&path)
    }

    #[test]
    fn errors_name_line_and_key() {
        assert_eq!(load("[web]\nport = 80\n").unwrap().web.port, 80);
        for (text, wanted) in [
            ("# c\n[web]\nport = \"x\"\n", "c.toml:3: [web] port: invalid type"),
            ("[web]\nport = 99999\n", "c.toml:2: [web] port: invalid value"),
            ("[web]\nport = 1\nprot = 1\n", "c.toml:3: [web] prot: unknown field `prot`"),
            ("[web]\n", "c.toml:1: [web]: missing field `port`"),
            ("a = 1\n", "c.toml:1: a: unknown field `a`"),
            ("[web\n", "c.toml:1: "),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
        assert!(matches!(load_toml::<Config>(Path::new("/none")), Err(ConfigError::Read { .. })));
    }
}
