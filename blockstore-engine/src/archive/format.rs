//! Names of the archive formats.

use std::fmt;
use std::str::FromStr;

/// What an archive is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// Plain: ranges, known length.
    Tar,
    /// Stored frames passed through: ranges, known length, cheapest to serve.
    TarZst,
    /// Compressed anew: whole only, length unknown. For hosts without zstd.
    TarGz,
}

/// A text names no archive format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("archive format is none of tar, tar.zst, tar.gz")]
pub struct BadFormat;

impl ArchiveFormat {
    /// Value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Tar => "application/x-tar",
            Self::TarZst => "application/zstd",
            Self::TarGz => "application/gzip",
        }
    }

    /// File name extension without the leading dot; also the name of the format.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarZst => "tar.zst",
            Self::TarGz => "tar.gz",
        }
    }

    /// Its number in the ETag. Never reused.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tar => 0,
            Self::TarZst => 1,
            Self::TarGz => 2,
        }
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for ArchiveFormat {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        [Self::Tar, Self::TarZst, Self::TarGz].into_iter().find(|format| format.extension() == text).ok_or(BadFormat)
    }
}
