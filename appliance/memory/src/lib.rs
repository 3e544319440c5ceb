//! Tells the C allocator to give memory back.
//!
//! Our programs live beside databases and may not grow. Batches and slices of many megabytes come and go; by default glibc raises its mmap
//! threshold to such sizes and keeps what was freed in one heap per thread. Called once, by a binary, before any thread starts. A crate of
//! its own, because the agent and the servers share nothing else, and because of its `unsafe`.
#![allow(unsafe_code, reason = "mallopt has no safe binding")]

/// Blocks of this size and more are mapped on their own, and unmapped when freed. Bytes.
const MMAP_THRESHOLD_BYTES: i32 = 256 << 10;
/// Number of heaps.
const ARENAS_MAX: i32 = 2;

/// Sets the bounds. Without effect on systems that have no glibc.
pub fn bound_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc;
        // SAFETY: mallopt only takes two integers; it is called before any other thread exists.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MMAP_THRESHOLD_BYTES);
        }
    }
}
