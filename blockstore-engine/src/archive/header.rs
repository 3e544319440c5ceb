//! Tar headers: ustar, with a pax header before it where ustar cannot say the path or the size. Pure.
//!
//! Invariants: the bytes follow from the fields alone, no clock, no user of this host; a header is a whole number of 512-byte blocks.

/// Unit of a tar.
pub(super) const TAR_BLOCK: usize = 512;
/// Two zero blocks end a tar.
pub(super) const TAR_END: u64 = 2 * TAR_BLOCK as u64;
/// Largest size that eleven octal digits say: 8 GiB - 1.
const USTAR_SIZE_MAX: u64 = 0o777_7777_7777;
const NAME_MAX: usize = 100;
const PREFIX_MAX: usize = 155;
/// Bytes of the last path component that the name of a pax header shows; only people read it.
const PAX_LABEL_MAX: usize = 80;

/// What one entry of a tar says.
pub(super) struct Header<'a> {
    /// Relative; a folder's without the slash at its end.
    pub(super) path: &'a str,
    /// Folder, or regular file.
    pub(super) folder: bool,
    /// Permission bits.
    pub(super) mode: u32,
    /// Bytes of content that follow.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime_seconds: u64,
}

/// Zeros after `size` bytes of content.
pub(super) fn padding(size: u64) -> u64 {
    let unit = TAR_BLOCK as u64;
    size.next_multiple_of(unit) - size
}

impl Header<'_> {
    /// All blocks of the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let path = if self.folder { format!("{}/", self.path) } else { self.path.to_owned() };
        let split = if path.is_ascii() { split(&path) } else { None };
        let mut records = String::new();
        if split.is_none() {
            records.push_str(&pax_record("path", &path));
        }
        let size = if self.size > USTAR_SIZE_MAX {
            records.push_str(&pax_record("size", &self.size.to_string()));
            0
        } else {
            self.size
        };
        let mut out = Vec::with_capacity(TAR_BLOCK);
        if !records.is_empty() {
            let last = self.path.rsplit('/').next().unwrap_or_default();
            let label = format!("PaxHeaders/{}", printable(last, PAX_LABEL_MAX));
            out.extend(block("", &label, b'x', 0o644, records.len() as u64, self.mtime_seconds));
            out.extend_from_slice(records.as_bytes());
            out.resize(out.len().next_multiple_of(TAR_BLOCK), 0);
        }
        let kind = if self.folder { b'5' } else { b'0' };
        let stand_in;
        let (prefix, name) = match split {
            Some(both) => both,
            None => {
                stand_in = printable(&path, NAME_MAX);
                ("", stand_in.as_str())
            }
        };
        out.extend(block(prefix, name, kind, self.mode, size, self.mtime_seconds));
        out
    }
}

/// Prefix and name as ustar splits them, if it can.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_MAX {
        return Some(("", path));
    }
    path.match_indices('/').map(|(at, _)| (&path[..at], &path[at + 1..])).find(|(prefix, name)| {
        !prefix.is_empty() && prefix.len() <= PREFIX_MAX && !name.is_empty() && name.len() <= NAME_MAX
    })
}

/// A pax record `<length> <key>=<value>\n`, whose length counts its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

fn printable(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(max).collect()
}

fn block(prefix: &str, name: &str, kind: u8, mode: u32, size: u64, mtime_seconds: u64) -> [u8; TAR_BLOCK] {
    let mut out = [0; TAR_BLOCK];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{:07o}", mode & 0o7777).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", mtime_seconds.min(USTAR_SIZE_MAX)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, prefix.as_bytes());
    let sum: u32 = out.iter().map(|byte| u32::from(*byte)).sum();
    out[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(header: &Header<'_>) -> (String, u64, u32, u64, bool) {
        let mut bytes = header.encode();
        assert_eq!(bytes.len() % TAR_BLOCK, 0);
        bytes.resize(bytes.len() + 1024, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
        let head = entry.header();
        (path, entry.size(), head.mode().unwrap(), head.mtime().unwrap(), head.entry_type().is_dir())
    }

    #[test]
    fn paths_of_every_length_and_kind_are_read_back() {
        let long = "d".repeat(60);
        for path in [
            "WiredTiger".to_owned(),
            "x".repeat(100),
            "x".repeat(101),
            format!("{}/{}", "p".repeat(155), "n".repeat(100)),
            format!("{}/{}", "p".repeat(156), "n".repeat(100)),
            format!("{long}/{long}/{long}/{long}/{long}/file"),
            "größe/データ.wt".to_owned(),
            "with space/and\nline".to_owned(),
            "é".repeat(2000),
        ] {
            let file = Header { path: &path, folder: false, mode: 0o600, size: 0, mtime_seconds: 1_700_000_000 };
            assert_eq!(parse(&file), (path.clone(), 0, 0o600, 1_700_000_000, false));
            let folder = Header { path: &path, folder: true, mode: 0o700, size: 0, mtime_seconds: 0 };
            assert_eq!(parse(&folder), (format!("{path}/"), 0, 0o700, 0, true));
        }
    }

    #[test]
    fn sizes_beyond_ustar_are_said_in_pax() {
        for (size, blocks) in [(1, 1), (USTAR_SIZE_MAX, 1), (USTAR_SIZE_MAX + 1, 3), (1 << 50, 3)] {
            let header = Header { path: "big", folder: false, mode: 0o644, size, mtime_seconds: 5 };
            assert_eq!(header.encode().len(), blocks * TAR_BLOCK);
            assert_eq!(parse(&header).1, size);
        }
    }

    #[test]
    fn a_pax_record_counts_its_own_digits() {
        for value_len in 0..1200 {
            let record = pax_record("path", &"v".repeat(value_len));
            assert_eq!(record.split(' ').next().unwrap().parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn padding_fills_the_unit() {
        assert_eq!([padding(0), padding(1), padding(511), padding(512), padding(513)], [0, 511, 1, 0, 511]);
    }
}
