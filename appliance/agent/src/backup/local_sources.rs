//! Connection strings that stay with the agent: given on the command line or in a file, kept in the state directory.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// File in the state directory.
const FILE: &str = "mongodb";
/// Most strings that are taken.
const STRINGS_MAX: usize = 1000;

/// The strings.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LocalSources(Vec<String>);

impl std::fmt::Debug for LocalSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalSources({} strings)", self.0.len())
    }
}

impl LocalSources {
    /// From a text with one string a line; empty lines and lines that begin with `#` are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.take(STRINGS_MAX).map(str::to_owned).collect())
    }

    /// Those given now, or else those kept from before; what is given now is kept.
    ///
    /// # Errors
    /// The state directory cannot be read or written.
    pub fn load(given: Vec<String>, state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        if given.is_empty() {
            return match fs::read_to_string(&path) {
                Ok(text) => Ok(Self::parse(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
                Err(error) => Err(error),
            };
        }
        let temporary = path.with_extension("tmp");
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        io::Write::write_all(&mut file, given.join("\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        Ok(Self(given))
    }

    /// The string for a replica set: the one that names it, else the only one.
    pub(crate) fn for_set(&self, rs: &str) -> Option<&str> {
        let names = |uri: &&String| {
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            query
                .split('&')
                .any(|pair| pair.split_once('=').is_some_and(|(k, v)| k.eq_ignore_ascii_case("replicaSet") && v == rs))
        };
        let only = (self.0.len() == 1).then(|| self.0.first()).flatten();
        self.0.iter().find(names).or(only).map(String::as_str)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    /// The first string: for a deployment whose name is not known yet.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn chosen_by_name_or_the_only_one() {
        let many = LocalSources::parse("# ours\nmongodb://a/?replicaSet=x\n\nmongodb://b/?tls=true&replicaset=y\n");
        assert_eq!(many.for_set("y"), Some("mongodb://b/?tls=true&replicaset=y"));
        assert_eq!(many.for_set("z"), None);
        let one = LocalSources::parse("mongodb://a");
        assert_eq!((one.for_set("z"), one.first()), (Some("mongodb://a"), Some("mongodb://a")));
    }

    #[test]
    fn kept_for_the_next_start_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LocalSources::load(vec![], dir.path()).unwrap(), LocalSources::default());
        let given = LocalSources::load(vec!["mongodb://u:p@a".into()], dir.path()).unwrap();
        assert_eq!(LocalSources::load(vec![], dir.path()).unwrap(), given);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{given:?}").contains("u:p"));
    }
}
