//! How the source fares, and when a scan must pause for its sake.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use tokio::sync::Mutex;

use super::{context::JobContext, error::JobError, source::Member, source::number};

/// How often the source is asked.
const EVERY: Duration = Duration::from_secs(2);
/// Below this share of read or write tickets available a scan pauses, in percent.
const TICKETS_PERCENT_MIN: i64 = 20;
/// A member that lags more than this behind the newest one is left in peace, in seconds.
const LAG_SECONDS_MAX: i64 = 30;
/// A ping that takes longer than this means a member under load.
const PING_MAX: Duration = Duration::from_millis(400);
/// How long a pause lasts before the source is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// A scan is paused no longer than this at a stretch: it must end some time.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    tickets_percent: Option<i64>,
    lag_seconds: i64,
    ping: Duration,
}

/// Why a scan must pause; None: go on.
fn suffering(facts: &Facts) -> Option<String> {
    if let Some(percent) = facts.tickets_percent.filter(|percent| *percent < TICKETS_PERCENT_MIN) {
        return Some(format!("only {percent} % of the source's tickets are free"));
    }
    if facts.lag_seconds > LAG_SECONDS_MAX {
        return Some(format!("the source's member lags {} s behind", facts.lag_seconds));
    }
    (facts.ping > PING_MAX).then(|| format!("the source's member takes {} ms for a ping", facts.ping.as_millis()))
}

/// Share of tickets that are free, the smaller of reads and writes, in percent.
fn tickets(status: &Document) -> Option<i64> {
    let queues = status.get_document("wiredTiger").ok()?.get_document("concurrentTransactions").ok()?;
    ["read", "write"]
        .iter()
        .filter_map(|kind| {
            let kind = queues.get_document(kind).ok()?;
            let total = number(kind, "totalTickets").filter(|total| *total > 0)?;
            Some(number(kind, "available")? * 100 / total)
        })
        .min()
}

/// Looks after one member during a sync; shared by its scans.
#[derive(Default)]
pub(crate) struct Throttle {
    looked: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Returns at once while the source is well, else pauses.
    pub(crate) async fn pause_if_suffering(&self, ctx: &JobContext, member: &Member) -> Result<(), JobError> {
        // One asks, the others wait here and find that it was asked a moment ago.
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        let since = Instant::now();
        while let Some(why) = suffering(&measure(ctx, member).await?) {
            if since.elapsed() > PAUSE_MAX {
                break;
            }
            ctx.report.phase(super::report::Part::Sync, &format!("pause the scan: {why}"));
            ctx.sleep(PAUSE).await?;
        }
        *looked = Some(Instant::now());
        Ok(())
    }
}

async fn measure(ctx: &JobContext, member: &Member) -> Result<Facts, JobError> {
    let start = Instant::now();
    member.run("admin", doc! { "ping": 1 }, "ping").await?;
    let ping = start.elapsed();
    let command = doc! {
        "serverStatus": 1, "metrics": 0, "locks": 0, "tcmalloc": 0, "transactions": 0, "opcounters": 0, "mirroredReads": 0, "network": 0,
        "globalLock": 0, "connections": 0, "extra_info": 0, "indexStats": 0, "electionMetrics": 0, "repl": 0, "security": 0,
    };
    let status = member.run("admin", command, "read the server's status").await?;
    let state = ctx.source.survey().await?;
    let own = state.candidates.iter().find(|c| c.host == member.host);
    Ok(Facts { tickets_percent: tickets(&status), lag_seconds: own.map_or(0, |c| c.lag_seconds), ping })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_for_tickets_lag_and_latency() {
        let well = Facts { tickets_percent: Some(90), lag_seconds: 1, ping: Duration::from_millis(3) };
        assert_eq!(suffering(&well), None);
        assert_eq!(suffering(&Facts { tickets_percent: None, ..well }), None);
        assert!(suffering(&Facts { tickets_percent: Some(5), ..well }).is_some_and(|s| s.contains("5 %")));
        assert!(suffering(&Facts { lag_seconds: 31, ..well }).is_some_and(|s| s.contains("31 s")));
        assert!(suffering(&Facts { ping: Duration::from_secs(1), ..well }).is_some_and(|s| s.contains("1000 ms")));
    }

    #[test]
    fn tickets_of_a_status() {
        let status = doc! { "wiredTiger": { "concurrentTransactions": {
            "write": { "out": 100, "available": 28, "totalTickets": 128 }, "read": { "out": 1, "available": 127, "totalTickets": 128 },
        } } };
        assert_eq!(tickets(&status), Some(21));
        assert_eq!(tickets(&doc! {}), None);
    }
}
