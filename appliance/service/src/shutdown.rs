//! One token that everything in the process watches; signals and the kill port cancel it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status of a process that is told a second time to end and does.
const EXIT_IMPATIENT: i32 = 130;

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once, for operators whose shutdown hangs;
/// everything stored is safe against that by design.
///
/// # Errors
/// The signals cannot be watched.
pub fn on_signals() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = next(&mut term, &mut int).await;
        tracing::info!(signal = name, "shutting down");
        cancelled.cancel();
        let name = next(&mut term, &mut int).await;
        tracing::warn!(signal = name, "told a second time: ending at once");
        std::process::exit(EXIT_IMPATIENT);
    });
    Ok(token)
}

async fn next(term: &mut tokio::signal::unix::Signal, int: &mut tokio::signal::unix::Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn sigterm_cancels() {
        let token = on_signals().unwrap();
        assert!(!token.is_cancelled());
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        tokio::time::timeout(Duration::from_secs(5), token.cancelled()).await.unwrap();
    }
}
