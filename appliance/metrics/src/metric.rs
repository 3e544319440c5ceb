//! A row of the table.

use serde::Serialize;

/// In what a value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Unit {
    /// A number.
    Scalar,
    /// So many a second.
    ScalarPerSecond,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Megabytes (2^20 bytes).
    Megabytes,
    /// Gigabytes (2^30 bytes) an hour.
    GigabytesPerHour,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Hundredths; may pass 100 where it counts several processors.
    Percent,
}

impl Unit {
    /// As the API gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "SCALAR",
            Self::ScalarPerSecond => "SCALAR_PER_SECOND",
            Self::Bytes => "BYTES",
            Self::BytesPerSecond => "BYTES_PER_SECOND",
            Self::Megabytes => "MEGABYTES",
            Self::GigabytesPerHour => "GIGABYTES_PER_HOUR",
            Self::Milliseconds => "MILLISECONDS",
            Self::Seconds => "SECONDS",
            Self::Percent => "PERCENT",
        }
    }
}

/// What sort of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// What is so at one time.
    Gauge,
    /// How fast a counter grows.
    Rate,
    /// How one counter grows for each step of another.
    Ratio,
    /// Computed from several gauges.
    Derived,
}

impl Kind {
    /// As the API gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Rate => "rate",
            Self::Ratio => "ratio",
            Self::Derived => "derived",
        }
    }
}

/// Of what it is a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// A mongod or mongos.
    Host,
    /// The machine of an agent; told of the hosts that run there.
    System,
    /// A disk partition of that machine.
    Disk,
    /// One database of a host.
    Database,
}

impl Scope {
    /// As the API gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::System => "system",
            Self::Disk => "disk",
            Self::Database => "database",
        }
    }
}

/// How the value comes out of what was read. Names are paths into a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// As it was read, times `scale`.
    Value {
        /// What.
        of: &'static str,
        /// Factor.
        scale: f64,
    },
    /// The sum of what was read; all of it must be there.
    Sum(&'static [&'static str]),
    /// How fast the sum of counters grows a second, times `scale`.
    Rate {
        /// Counters.
        of: &'static [&'static str],
        /// Factor.
        scale: f64,
    },
    /// The same, divided by something that is so now (processors).
    RatePer {
        /// Counter.
        of: &'static str,
        /// Divisor.
        per: &'static str,
        /// Factor.
        scale: f64,
    },
    /// How much one counter grew for each step of others, times `scale`; none while those stand still.
    Ratio {
        /// Counter.
        of: &'static str,
        /// Counters, added.
        to: &'static [&'static str],
        /// Factor.
        scale: f64,
    },
    /// One as a percentage of the sum of others.
    Share {
        /// Part.
        of: &'static str,
        /// Whole, added.
        to: &'static [&'static str],
    },
    /// One less the other, times `scale`, never below zero.
    Less {
        /// From this.
        of: &'static str,
        /// This is taken.
        less: &'static str,
        /// Factor.
        scale: f64,
    },
}

impl Formula {
    /// What sort of number it makes.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Value { .. } => Kind::Gauge,
            Self::Rate { .. } | Self::RatePer { .. } => Kind::Rate,
            Self::Ratio { .. } => Kind::Ratio,
            Self::Sum(_) | Self::Share { .. } | Self::Less { .. } => Kind::Derived,
        }
    }

    /// Every path that it needs.
    #[must_use]
    pub fn paths(&self) -> Vec<&'static str> {
        match self {
            Self::Value { of, .. } => vec![of],
            Self::Sum(of) | Self::Rate { of, .. } => of.to_vec(),
            Self::RatePer { of, per, .. } => vec![of, per],
            Self::Ratio { of, to, .. } | Self::Share { of, to } => {
                let mut all = vec![*of];
                all.extend_from_slice(to);
                all
            }
            Self::Less { of, less, .. } => vec![of, less],
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name, everywhere.
    pub name: &'static str,
    /// In what it is given.
    pub unit: Unit,
    /// Of what it is.
    pub scope: Scope,
    /// What it comes from.
    pub formula: Formula,
    /// What it says, a sentence.
    pub text: &'static str,
    /// The chart that shows it: metrics with the same word are drawn together.
    pub chart: &'static str,
}

impl Metric {
    /// What sort of number it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.formula.kind()
    }

    /// Where it comes from, for people: the command and the fields.
    #[must_use]
    pub fn origin(&self) -> String {
        let paths = self.formula.paths();
        paths.iter().map(|path| origin_of(path)).collect::<Vec<_>>().join(", ")
    }
}

/// The command or file behind a path.
fn origin_of(path: &str) -> String {
    match path.split_once(':') {
        Some(("db", field)) => format!("dbStats {field}"),
        Some(("sys", field)) => format!("/proc of the agent's machine: {field}"),
        Some(("disk", field)) => format!("/proc/diskstats and statvfs of the agent's machine: {field}"),
        Some(("repl", field)) => format!("replSetGetStatus: {field}"),
        Some(("oplog", field)) => format!("local.oplog.rs: {field}"),
        Some(("host", field)) => format!("hostInfo: {field}"),
        Some(("agent", field)) => format!("the agent: {field}"),
        _ => format!("serverStatus {path}"),
    }
}
