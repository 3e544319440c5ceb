//! The system calls: FICLONE, FICLONERANGE and FIEMAP. The only unsafe code of this crate.
//!
//! Invariants: the kernel gets buffers whose size it is told truly, and what it answers is not believed beyond that size.
#![allow(unsafe_code, reason = "FICLONE, FICLONERANGE and FIEMAP are ioctls; nix has no safe form of them")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Extents in one answer of the kernel: 56 KiB.
const EXTENTS_PER_CALL: usize = 1024;
/// FIEMAP_FLAG_SYNC: write what is dirty first.
const FLAG_SYNC: u32 = 1;

/// The last extent of the file.
pub(super) const EXTENT_LAST: u32 = 0x1;
/// Other files have it too.
pub(super) const EXTENT_SHARED: u32 = 0x2000;

/// `struct fiemap` without its array.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Header {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RawExtent {
    pub(super) logical: u64,
    pub(super) physical: u64,
    pub(super) length: u64,
    reserved64: [u64; 2],
    pub(super) flags: u32,
    reserved: [u32; 3],
}

/// `struct file_clone_range`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct CloneRange {
    source: i64,
    source_offset: u64,
    source_length: u64,
    offset: u64,
}

#[repr(C)]
struct Request {
    header: Header,
    extents: [RawExtent; EXTENTS_PER_CALL],
}

mod raw {
    #![allow(missing_docs, reason = "written by the macros")]
    // linux/fs.h: FICLONE is _IOW(0x94, 9, int), FICLONERANGE is _IOW(0x94, 13, struct file_clone_range), FS_IOC_FIEMAP is _IOWR('f', 11, struct fiemap).
    nix::ioctl_write_int!(ficlone, 0x94, 9);
    nix::ioctl_write_ptr!(ficlonerange, 0x94, 13, super::CloneRange);
    nix::ioctl_readwrite!(fiemap, b'f', 11, super::Header);
}

/// Makes `to` (empty, open for writing) share the bytes of `from`. False when the file system cannot.
pub(super) fn clone_file(from: &File, to: &File) -> io::Result<bool> {
    let source = u64::try_from(from.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open for the length of the call; the kernel reads nothing through the argument, it is a number.
    match unsafe { raw::ficlone(to.as_raw_fd(), source) } {
        Ok(_) => Ok(true),
        Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes `to` share, from `offset` on, all bytes of `from`.
pub(super) fn clone_all_into(from: &File, to: &File, offset: u64) -> io::Result<()> {
    let range = CloneRange { source: i64::from(from.as_raw_fd()), source_offset: 0, source_length: 0, offset };
    // SAFETY: both descriptors are open for the length of the call, which reads one `CloneRange`.
    unsafe { raw::ficlonerange(to.as_raw_fd(), &raw const range) }.map(|_| ()).map_err(io::Error::from)
}

/// A buffer for the kernel's answers, used again from call to call.
pub(super) struct MapBuffer(Box<Request>);

impl MapBuffer {
    pub(super) fn new() -> Self {
        Self(Box::new(Request { header: Header::default(), extents: [RawExtent::default(); EXTENTS_PER_CALL] }))
    }

    /// The first extents that touch the range, in the kernel's order; dirty bytes are written first. Empty: there are none.
    pub(super) fn map(&mut self, file: &File, start: u64, length: u64) -> io::Result<&[RawExtent]> {
        let capacity = u32::try_from(EXTENTS_PER_CALL).map_err(io::Error::other)?;
        self.0.header = Header { start, length, flags: FLAG_SYNC, extent_count: capacity, ..Header::default() };
        let request: *mut Request = &raw mut *self.0;
        // SAFETY: the pointer is to a whole `Request`, laid out as the kernel's `struct fiemap` with an array of `extent_count` extents
        // behind it, exclusively borrowed for the call; every bit pattern is a valid `RawExtent`.
        unsafe { raw::fiemap(file.as_raw_fd(), request.cast::<Header>()) }.map_err(io::Error::from)?;
        let mapped = usize::try_from(self.0.header.mapped_extents).map_err(io::Error::other)?;
        self.0.extents.get(..mapped).ok_or_else(|| io::Error::other("more extents than were asked for"))
    }
}

/// How many extents touch the range, as far as they are known; nothing is written first.
pub(super) fn count(file: &File, start: u64, length: u64) -> io::Result<u32> {
    let mut header = Header { start, length, ..Header::default() };
    // SAFETY: with `extent_count` 0 the kernel writes nothing beyond the header, which is exclusively borrowed for the call.
    unsafe { raw::fiemap(file.as_raw_fd(), &raw mut header) }.map_err(io::Error::from)?;
    Ok(header.mapped_extents)
}
