//! Unpacks a tar or tar.zst while it arrives. Runs of zeros become holes; a name that leads out of the folder is refused.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use holdfast_domain::ArchiveFormat;
use tokio::sync::mpsc;

/// Chunks between download and disk; a chunk is what the network gives at once, 16 KiB to a few MiB.
const CHUNKS_MAX: usize = 32;
/// Unit of copying and of looking for holes: the engine's block.
const COPY_BYTES: usize = 64 << 10;
/// Deepest window that a frame may ask for, as a power of two: 128 MiB is zstd's own limit for decoders.
const WINDOW_LOG_MAX: u32 = 27;

/// The writing end.
pub(super) struct Sink(mpsc::Sender<Option<Bytes>>);

/// The reading end.
pub(super) struct Source {
    chunks: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    ended: bool,
}

/// A bounded pipe from async code to a blocking reader. A writer that is dropped without `finish` is a read error, so a
/// download that broke is never taken for the end of the archive.
pub(super) fn pipe() -> (Sink, Source) {
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    (Sink(sender), Source { chunks, rest: Bytes::new(), ended: false })
}

impl Sink {
    pub(super) async fn send(&self, chunk: Bytes) -> anyhow::Result<()> {
        self.0.send(Some(chunk)).await.map_err(|_| anyhow::anyhow!("unpacking stopped"))
    }

    pub(super) async fn finish(self) {
        // The reader may have ended at the archive's own end mark.
        self.0.send(None).await.ok();
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.rest = chunk,
                Some(None) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download broke off")),
            }
        }
        let size = self.rest.len().min(out.len());
        out[..size].copy_from_slice(&self.rest.split_to(size));
        Ok(size)
    }
}

/// The folder must be new or empty: nothing of anybody's is overwritten.
pub(super) fn check_target(to: &Path) -> anyhow::Result<()> {
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            Some(_) => bail!("{} is not empty: name a new folder", to.display()),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("look into {}", to.display())),
    }
}

/// Unpacks everything below `to`.
pub(super) fn unpack(source: Source, format: ArchiveFormat, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    match format {
        ArchiveFormat::Tar => unpack_tar(BufReader::new(source), to),
        ArchiveFormat::TarZst => {
            let mut decoder = zstd::Decoder::new(source).context("set up zstd")?;
            decoder.window_log_max(WINDOW_LOG_MAX).context("set up zstd")?;
            unpack_tar(decoder, to)
        }
        ArchiveFormat::TarGz => bail!("a tar.gz is not unpacked here: take tar.zst"),
    }
}

fn unpack_tar(reader: impl Read, to: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().context("read the archive")? {
        let mut entry = entry.context("read the archive")?;
        let name = entry.path().context("read a name in the archive")?.into_owned();
        let path = inside(to, &name)?;
        let mode = entry.header().mode().context("read a mode in the archive")? & 0o7777;
        let what = || format!("unpack {}", path.display());
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                fs::create_dir_all(&path).with_context(what)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o700)).with_context(what)?;
            }
            tar::EntryType::Regular => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).with_context(what)?;
                }
                let mut file =
                    OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).with_context(what)?;
                copy_sparse(&mut entry, &mut file).with_context(what)?;
            }
            other => bail!("{} is of a kind that a restore never holds ({other:?})", name.display()),
        }
    }
    // The tar's end mark is not the download's end: read on, so that a broken tail is noticed.
    io::copy(&mut archive.into_inner(), &mut io::sink()).context("read the archive's end")?;
    sync_dir(to)
}

fn inside(to: &Path, name: &Path) -> anyhow::Result<PathBuf> {
    if name.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Ok(to.join(name));
    }
    bail!("the archive names {}, which leads out of the folder: nothing more is unpacked", name.display())
}

fn copy_sparse(from: &mut impl Read, file: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut size = 0_u64;
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match from.read(&mut buffer[filled..])? {
                0 => break,
                more => filled += more,
            }
        }
        if filled == 0 {
            break;
        }
        if buffer[..filled].iter().all(|&b| b == 0) {
            file.seek(SeekFrom::Current(filled as i64))?;
        } else {
            file.write_all(&buffer[..filled])?;
        }
        size += filled as u64;
    }
    file.set_len(size)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).with_context(|| format!("write {} to disk", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap()
    }

    fn run(bytes: Vec<u8>, finish: bool, to: &Path) -> anyhow::Result<()> {
        let (sink, source) = pipe();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            sink.send(bytes.into()).await.unwrap();
            if finish {
                sink.finish().await;
            }
        });
        unpack(source, ArchiveFormat::Tar, to)
    }

    #[test]
    fn files_with_holes_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut content = vec![0; 300_000];
        content[200_000] = 7;
        run(archive("sub/file.wt", &content), true, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("sub/file.wt")).unwrap(), content);
        assert!(check_target(dir.path()).is_err(), "a second restore into the same folder");
    }

    #[test]
    fn hostile_names_and_broken_downloads_are_refused() {
        for (name, finish) in [("../evil", true), ("/evil", true), ("fine", false)] {
            let dir = tempfile::tempdir().unwrap();
            let to = dir.path().join("to");
            assert!(run(archive(name, b"x"), finish, &to).is_err(), "{name}");
            assert!(!dir.path().join("evil").exists());
        }
    }
}
