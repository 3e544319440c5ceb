//! Which mongod opens which source's files: the newest patch release of the source's major version.
//!
//! Invariant: never another major version than the source's, since opening files with a newer one changes them.

use std::path::{Path, PathBuf};

use holdfast_domain::ErrorClass;

/// Binaries looked at in a folder; more are ignored.
const BINARIES_MAX: usize = 64;

/// No binary fits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no mongod {wanted} on this daemon (it has {have}): put a mongod of that release into its mongod folder")]
pub struct NoBinary {
    /// Release line of the source, `6.0`.
    pub wanted: String,
    /// What there is.
    pub have: String,
}

impl NoBinary {
    /// An operator must bring the binary.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// A mongod binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Where.
    pub path: PathBuf,
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
}

/// The binaries of this daemon.
#[derive(Clone, Debug, Default)]
pub struct Binaries(Vec<Binary>);

impl Binaries {
    /// Looks at these binaries and at every file named `mongod*` in `dir` or one level below (`6.0.5/mongod`). What does not
    /// run is logged and left out. Blocks.
    #[must_use]
    pub fn find(named: &[PathBuf], dir: Option<&Path>) -> Self {
        let mut paths = named.to_vec();
        if let Some(dir) = dir {
            paths.extend(listed(dir));
        }
        paths.truncate(BINARIES_MAX);
        let mut found = Vec::new();
        for path in paths {
            match holdfast_mongod::version(&path) {
                Ok(version) => found.push(Binary { path, version }),
                Err(error) => tracing::warn!(path = %path.display(), %error, "this mongod cannot be used"),
            }
        }
        Self(found)
    }

    /// The binary for a source of this version (`6.0.5` or `6.0`).
    ///
    /// # Errors
    /// [`NoBinary`] when no release of that line is here.
    pub fn for_source(&self, version: &str) -> Result<&Binary, NoBinary> {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        let line = (parts.next().flatten(), parts.next().flatten());
        self.0
            .iter()
            .filter(|b| (Some(b.version.0), Some(b.version.1)) == line)
            .max_by_key(|b| b.version)
            .ok_or_else(|| NoBinary { wanted: version.to_owned(), have: self.to_string() })
    }

    /// Every binary.
    #[must_use]
    pub fn all(&self) -> &[Binary] {
        &self.0
    }
}

impl std::fmt::Display for Binaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, binary) in self.0.iter().enumerate() {
            let (a, b, c) = binary.version;
            write!(f, "{}{a}.{b}.{c}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn listed(dir: &Path) -> Vec<PathBuf> {
    let read =
        |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    let is_mongod = |path: &PathBuf| {
        path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mongod"))
    };
    let mut out = Vec::new();
    for path in read(dir) {
        if path.is_dir() {
            out.extend(read(&path).into_iter().filter(is_mongod));
            out.extend(read(&path.join("bin")).into_iter().filter(is_mongod));
        } else if is_mongod(&path) {
            out.push(path);
        }
    }
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn newest_patch_of_the_same_line_only() {
        let binary = |version| Binary { path: PathBuf::from(format!("{version:?}")), version };
        let all = Binaries(vec![binary((6, 0, 5)), binary((6, 0, 27)), binary((7, 0, 1)), binary((5, 0, 32))]);
        assert_eq!(all.for_source("6.0.14").unwrap().version, (6, 0, 27));
        assert_eq!(all.for_source("5.0").unwrap().version, (5, 0, 32));
        assert!(all.for_source("7.1.0").unwrap_err().to_string().contains("6.0.27"));
        assert!(Binaries::default().for_source("").unwrap_err().to_string().contains("none"));
    }
}
