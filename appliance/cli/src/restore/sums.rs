//! Compares what was unpacked with the server's list of sums.

use std::{
    fs::{self, File},
    io::BufRead as _,
    path::Path,
};

use anyhow::{Context as _, bail};

use crate::client::{is_away, outlasting, refusal};

/// Appended to a link: lines of `<blake3>  <bytes>  <path>`.
const SUMS_SUFFIX: &str = ".sums";
/// Longest list that is read: 100,000 files with long names.
const SUMS_BYTES_MAX: usize = 64 << 20;

/// Checks every file; returns how many there are.
pub(super) async fn check(http: &reqwest::Client, url: &str, dir: &Path) -> anyhow::Result<usize> {
    let fetch = || async {
        let response = http.get(format!("{url}{SUMS_SUFFIX}")).send().await?;
        let status = response.status();
        let list = response.bytes().await?;
        if status.is_success() { Ok(list) } else { Err(refusal(status, &list).into()) }
    };
    let list = outlasting(is_away, fetch).await.context("fetch the list of sums")?;
    if list.len() > SUMS_BYTES_MAX {
        bail!("the list of sums is larger than {SUMS_BYTES_MAX} bytes");
    }
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || compare(&list, &dir)).await.context("compare sums")?
}

fn compare(list: &[u8], dir: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    for line in list.lines() {
        let line = line.context("read the list of sums")?;
        let (escaped, line) = line.strip_prefix('\\').map_or((false, line.as_str()), |rest| (true, rest));
        let mut parts = line.splitn(3, "  ");
        let (Some(sum), Some(size), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            bail!("the list of sums has a damaged line: {line:?}");
        };
        let path = &if escaped { unescape(path) } else { path.to_owned() };
        let file = dir.join(path);
        let found = fs::metadata(&file).with_context(|| format!("{path} is missing from the restore"))?.len();
        if found.to_string() != size {
            bail!("{path} has {found} bytes, {size} were expected: the restore is damaged");
        }
        let mut hasher = blake3::Hasher::new();
        hasher
            .update_reader(File::open(&file).with_context(|| format!("read {path}"))?)
            .with_context(|| format!("read {path}"))?;
        if hasher.finalize().to_hex().as_str() != sum {
            bail!("{path} differs from what the appliance stored: the restore is damaged");
        }
        files += 1;
    }
    if files == 0 {
        bail!("the list of sums is empty");
    }
    Ok(files)
}

/// Names with a backslash or a line break are escaped, and the line then begins with a backslash, as b3sum does.
fn unescape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            (c, false) => c,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        assert_eq!(unescape(r"a\\nb\nc"), "a\\nb\nc");
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), b"hello").unwrap();
        let line = format!("{}  5  a\n", blake3::hash(b"hello").to_hex());
        assert_eq!(compare(line.as_bytes(), dir.path()).unwrap(), 1);
        assert!(compare(b"", dir.path()).is_err());
        fs::write(dir.path().join("a"), b"hellp").unwrap();
        assert!(compare(line.as_bytes(), dir.path()).is_err());
        fs::write(dir.path().join("a"), b"hell").unwrap();
        assert!(compare(line.as_bytes(), dir.path()).is_err());
    }
}
