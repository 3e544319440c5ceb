//! One system call: a file that shares its bytes with another until one of them is written.
#![allow(unsafe_code, reason = "FICLONE is an ioctl; nix has no safe form of it")]

use std::{fs::File, io, os::fd::AsRawFd as _};

mod raw {
    #![allow(missing_docs, reason = "written by the macro")]
    // FICLONE, linux/fs.h: _IOW(0x94, 9, int).
    nix::ioctl_write_int!(ficlone, 0x94, 9);
}

/// Makes `to` (empty, open for writing) share the bytes of `from`. False when the file system cannot.
///
/// # Errors
/// Anything but "this file system cannot do that".
pub(crate) fn clone_into(from: &File, to: &File) -> io::Result<bool> {
    use nix::errno::Errno;
    let source = u64::try_from(from.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open for the length of the call; the kernel reads nothing through the argument, it is a number.
    match unsafe { raw::ficlone(to.as_raw_fd(), source) } {
        Ok(_) => Ok(true),
        Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
