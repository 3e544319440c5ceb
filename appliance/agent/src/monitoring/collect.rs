//! Reads one host once: greeting, status, place in its set, reach of its oplog.

use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use holdfast_metrics::{Process, Reading, Scope, paths};
use mongodb::Client;

use super::{
    finding::now_millis,
    path::{documents, number, text, whole},
    replica::{Place, place},
    throttle::Throttle,
};
use crate::backup::run;

/// Size of the oplog is read this often.
const OPLOG_SIZE_EVERY: Duration = Duration::from_secs(60);
/// A shorter oplog says nothing about how fast it grows, in seconds.
const OPLOG_SECONDS_MIN: f64 = 60.0;
const GIGABYTE: f64 = 1_073_741_824.0;

/// What one look at a host gave.
pub(super) struct Look {
    pub(super) reading: Reading,
    pub(super) place: Option<Place>,
    pub(super) version: Option<String>,
    /// When the process was started, milliseconds since 1970.
    pub(super) started: Option<i64>,
    /// Name of the machine that it runs on.
    pub(super) machine: String,
    pub(super) certificate_ends: Option<i64>,
    pub(super) status: Document,
    pub(super) set_status: Option<Document>,
}

/// Reads one host; remembers what is read seldom.
pub(super) struct Collector {
    paths: Vec<&'static str>,
    began: Instant,
    oplog_size: Throttle,
    oplog_bytes: Option<(f64, f64)>,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self {
            paths: paths(Scope::Host),
            began: Instant::now(),
            oplog_size: Throttle::every(OPLOG_SIZE_EVERY),
            oplog_bytes: None,
        }
    }

    /// Milliseconds of a clock that no one sets.
    pub(super) fn monotonic_millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads it. `member`: it belongs to a replica set; `data`: it has an oplog.
    ///
    /// # Errors
    /// The driver's: it does not answer, or not to us.
    pub(super) async fn look(
        &mut self,
        client: &Client,
        member: bool,
        data: bool,
    ) -> Result<Look, mongodb::error::Error> {
        let asked = Instant::now();
        run(client, "admin", doc! { "ping": 1 }).await?;
        let round_trip = asked.elapsed();
        let status = run(client, "admin", doc! { "serverStatus": 1, "locks": 0, "transportSecurity": 0 }).await?;
        let (monotonic_millis, wall_millis) = (self.monotonic_millis(), now_millis());
        let mut reading = Reading { monotonic_millis, wall_millis, ..Reading::default() };
        reading.process = whole(&status, "pid")
            .zip(whole(&status, "uptimeMillis"))
            .map(|(pid, uptime_millis)| Process { pid, uptime_millis });
        for path in &self.paths {
            if !path.contains(':')
                && let Some(value) = number(&status, path)
            {
                reading.values.insert(path, value);
            }
        }
        let (mut set, mut set_status) = (None, None);
        if member {
            if let Ok(answer) = run(client, "admin", doc! { "replSetGetStatus": 1 }).await {
                let found = place(&answer);
                reading.values.extend(found.values.iter().copied());
                set = Some(found);
                set_status = Some(answer);
            }
            if data {
                self.oplog(client, &mut reading).await;
            }
        }
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        reading.values.insert("agent:roundTripMillis", millis(round_trip));
        reading.values.insert("agent:collectMillis", millis(asked.elapsed()));
        let uptime = reading.process.map(|process| process.uptime_millis);
        let ends = super::path::at(&status, "security.SSLServerCertificateExpirationDate");
        Ok(Look {
            place: set,
            version: text(&status, "version").map(str::to_owned),
            started: uptime.map(|uptime| wall_millis - uptime),
            machine: text(&status, "host").unwrap_or_default().rsplit_once(':').map_or_else(
                || text(&status, "host").unwrap_or_default().to_owned(),
                |(machine, _)| machine.to_owned(),
            ),
            certificate_ends: ends.and_then(Bson::as_datetime).map(|at| at.timestamp_millis()),
            reading,
            status,
            set_status,
        })
    }

    /// How far back the oplog reaches, and how large it is.
    async fn oplog(&mut self, client: &Client, reading: &mut Reading) {
        let end = |order: i32| {
            doc! { "find": "oplog.rs", "sort": { "$natural": order }, "limit": 1, "projection": { "ts": 1 }, "singleBatch": true }
        };
        let second = |answer: &Document| {
            let first = documents(answer, "cursor.firstBatch").into_iter().next()?;
            Some(f64::from(first.get_timestamp("ts").ok()?.time))
        };
        let first = run(client, "local", end(1)).await.ok().as_ref().and_then(second);
        let last = run(client, "local", end(-1)).await.ok().as_ref().and_then(second);
        let Some(window) = first.zip(last).map(|(first, last)| (last - first).max(0.0)) else { return };
        reading.values.insert("oplog:windowSeconds", window);
        let now = Instant::now();
        if self.oplog_size.is_due(now) {
            let stats = run(client, "local", doc! { "collStats": "oplog.rs" }).await.ok();
            self.oplog_bytes = stats.and_then(|stats| Some((number(&stats, "size")?, number(&stats, "maxSize")?)));
            self.oplog_size.done(Instant::now(), now.elapsed());
        }
        if let Some((used, max)) = self.oplog_bytes {
            reading.values.insert("oplog:usedBytes", used);
            reading.values.insert("oplog:maxBytes", max);
            if window >= OPLOG_SECONDS_MIN {
                reading.values.insert("oplog:gigabytesPerHour", used / GIGABYTE / window * 3_600.0);
            }
        }
    }
}
