//! Bounds what the C allocator keeps of freed memory.
//!
//! Our programs live beside databases and may not grow. Batches and slices of many megabytes come and go; by default glibc raises its mmap
//! threshold to such sizes and keeps what was freed in one heap per thread. Called once, by a binary, before any thread starts. A crate of
//! its own, because the agent and the servers share nothing else, and because of its `unsafe`.
#![allow(unsafe_code, reason = "mallopt has no safe binding")]

/// Who is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Lives beside somebody else's database: what is freed goes back at once.
    Guest,
    /// A server of the appliance: buffers of slices and batches are used again, because mapping and clearing them anew was measured to
    /// double the daemon's CPU in an initial load; what is free at the end of a heap goes back.
    Server,
}

impl Program {
    /// Blocks of this size and more are mapped on their own, and unmapped when freed. Bytes; 32 MiB is the largest that glibc takes.
    const fn mmap_threshold_bytes(self) -> i32 {
        match self {
            Self::Guest => 256 << 10,
            Self::Server => 32 << 20,
        }
    }

    /// Free bytes at the end of a heap above which they go back.
    const fn trim_threshold_bytes(self) -> i32 {
        match self {
            Self::Guest => 256 << 10,
            Self::Server => 16 << 20,
        }
    }
}

/// Number of heaps.
const ARENAS_MAX: i32 = 2;

/// Sets the bounds. Without effect on systems that have no glibc.
pub fn bound_allocator(program: Program) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc;
        // SAFETY: mallopt only takes two integers; it is called before any other thread exists.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
            libc::mallopt(libc::M_MMAP_THRESHOLD, program.mmap_threshold_bytes());
            libc::mallopt(libc::M_TRIM_THRESHOLD, program.trim_threshold_bytes());
        }
    }
}
