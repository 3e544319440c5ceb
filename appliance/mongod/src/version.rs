//! Which release a binary is.

use std::{path::Path, process::Command};

use crate::error::VersionError;

/// The release that a mongod binary prints, as (major, minor, patch). Blocks for the run of `mongod --version` (50 ms).
///
/// # Errors
/// It cannot be executed or prints no version.
pub fn version(binary: &Path) -> Result<(u32, u32, u32), VersionError> {
    let output = Command::new(binary)
        .arg("--version")
        .output()
        .map_err(|source| VersionError::Exec { binary: binary.to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| VersionError::Output {
        binary: binary.to_owned(),
        output: text.chars().chain(String::from_utf8_lossy(&output.stderr).chars()).take(200).collect(),
    })
}

/// Reads `db version v6.0.5` and `db version v7.0.0-rc1`.
fn parse(text: &str) -> Option<(u32, u32, u32)> {
    let version = text.lines().find_map(|line| line.strip_prefix("db version v"))?;
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn releases_are_read() {
        assert_eq!(parse("db version v6.0.5\nBuild Info: {"), Some((6, 0, 5)));
        assert_eq!(parse("db version v7.0.0-rc1"), Some((7, 0, 0)));
        assert_eq!(parse("bash 5.2"), None);
    }
}
