//! The server's log: bounded at start, and quoted when a start or stop fails.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// A log longer than this is moved to `<log>.1` (replacing the one before): at start, and by [`crate::Mongod::bound_log`].
pub const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of the log's end is searched for errors.
const TAIL_BYTES: u64 = 256 << 10;
/// How many lines are quoted.
const QUOTED_LINES: usize = 5;
/// How long a quoted line may be.
const QUOTED_CHARS: usize = 500;

/// Where a log that grew too long is moved.
pub(crate) fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// Whether the log is over its bound.
pub(crate) fn is_long(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX)
}

/// Opens the log for appending, moved aside first when it is over its bound, and tells where this run's part begins.
pub(crate) fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if is_long(path) {
        fs::rename(path, rotated(path))?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let start = file.metadata()?.len();
    Ok((file, start))
}

#[derive(Deserialize)]
struct Line {
    s: String,
    id: i64,
    msg: String,
    #[serde(default)]
    attr: serde_json::Map<String, serde_json::Value>,
}

/// The last errors of this run in words; lines that are not JSON (bad options are reported that way) count as errors.
pub(crate) fn errors(path: &Path, from: u64) -> String {
    let Ok(text) = tail(path, from) else { return format!("no log at {}", path.display()) };
    let mut found: Vec<String> = text.lines().filter_map(quote).collect();
    if found.is_empty() {
        return format!("no error in its log {}", path.display());
    }
    let first = found.len().saturating_sub(QUOTED_LINES);
    found.drain(..first);
    found.join(" | ")
}

fn quote(line: &str) -> Option<String> {
    let text = match serde_json::from_str::<Line>(line) {
        Ok(line) if matches!(line.s.as_str(), "E" | "F") => {
            let attributes =
                if line.attr.is_empty() { String::new() } else { format!(" {}", serde_json::Value::Object(line.attr)) };
            format!("{} ({}){attributes}", line.msg, line.id)
        }
        Ok(_) => return None,
        Err(_) if line.trim().is_empty() || line.starts_with('{') => return None,
        Err(_) => line.trim().to_owned(),
    };
    Some(text.chars().take(QUOTED_CHARS).collect())
}

fn tail(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.min(len).max(len.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn quotes_errors_of_this_run_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "{\"s\":\"E\",\"id\":1,\"msg\":\"old\"}\n").unwrap();
        let (_, from) = open(&path).unwrap();
        assert!(errors(&path, from).starts_with("no error"));
        let more = "{\"s\":\"I\",\"id\":2,\"msg\":\"fine\"}\nError parsing command line: x\n{\"s\":\"F\",\"id\":3,\"msg\":\"bad\",\"attr\":{\"code\":48}}\n";
        fs::write(&path, fs::read_to_string(&path).unwrap() + more).unwrap();
        assert_eq!(errors(&path, from), "Error parsing command line: x | bad (3) {\"code\":48}");
    }

    #[test]
    fn a_long_log_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        File::create(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        let (_, from) = open(&path).unwrap();
        assert_eq!(from, 0);
        assert_eq!(fs::metadata(rotated(&path)).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
