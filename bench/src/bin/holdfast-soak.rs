//! `holdfast-soak`: backups, deletions, collection, verification and SIGKILL for as long as wanted. Started by `scripts/soak`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", dir, minutes, seed] => {
            let minutes: u64 = minutes.parse().context("minutes")?;
            let seed = seed.parse().context("a seed")?;
            holdfast_bench::soak::soak(Path::new(dir), Duration::from_secs(minutes * 60), seed).await
        }
        ["work", ..] => holdfast_bench::soak::work(&arguments[1..]).await,
        _ => bail!("usage: holdfast-soak run FOLDER MINUTES SEED"),
    }
}
