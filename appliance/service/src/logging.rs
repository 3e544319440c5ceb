//! Logs to standard error: lines for people on a terminal, JSON for journald.
//!
//! `HOLDFAST_LOG_FORMAT` (`json` or `text`) decides; without it JSON is chosen when `JOURNAL_STREAM` says that journald
//! listens. `HOLDFAST_LOG` holds the first filter; the debug port changes it while the process runs.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::log_lines;

/// What is logged when nobody says otherwise. The driver repeats at info what our own callers log with more context.
pub const FILTER_DEFAULT: &str = "info,mongodb=warn,hyper=warn,rustls=warn,h2=warn";
/// A filter longer than this is not a filter.
const FILTER_BYTES_MAX: usize = 1024;

/// The filter of a running process. Clones change the same one.
#[derive(Clone)]
pub struct LogLevel {
    reload: reload::Handle<EnvFilter, Registry>,
}

/// A filter that is not understood, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("log filter: {0}")]
pub struct FilterError(String);

impl LogLevel {
    /// Replaces the filter: a level (`debug`) or directives as in `info,holdfast_daemon=trace`.
    ///
    /// # Errors
    /// The text is no filter; the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), FilterError> {
        if filter.is_empty() || filter.len() > FILTER_BYTES_MAX {
            return Err(FilterError(format!("1 to {FILTER_BYTES_MAX} characters")));
        }
        let parsed = EnvFilter::try_new(filter).map_err(|error| FilterError(error.to_string()))?;
        self.reload.reload(parsed).map_err(|error| FilterError(error.to_string()))
    }

    /// The filter in force.
    pub fn get(&self) -> String {
        self.reload.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Starts logging for the process. Where a logger is set already (tests) that one stays.
pub fn init() -> LogLevel {
    let filter = std::env::var("HOLDFAST_LOG").unwrap_or_else(|_| FILTER_DEFAULT.to_owned());
    let parsed = EnvFilter::try_new(&filter);
    let bad = parsed.as_ref().err().map(ToString::to_string);
    let (layer, level) = layer(
        parsed.unwrap_or_else(|_| EnvFilter::new(FILTER_DEFAULT)),
        json_wanted(|name| std::env::var(name).ok()),
        io::stderr,
    );
    // An error means that a logger is set already: its lines are not ours.
    let (gather, lines) = log_lines::gather();
    if tracing_subscriber::registry().with(layer).with(gather).try_init().is_ok() {
        log_lines::leave(lines);
    }
    if let Some(reason) = bad {
        tracing::warn!(filter, reason, "HOLDFAST_LOG is not understood: using the default");
    }
    level
}

fn json_wanted(environment: impl Fn(&str) -> Option<String>) -> bool {
    match environment("HOLDFAST_LOG_FORMAT").as_deref() {
        Some("json") => true,
        Some(_) => false,
        None => environment("JOURNAL_STREAM").is_some(),
    }
}

pub(crate) fn layer<W>(filter: EnvFilter, json: bool, writer: W) -> (Box<dyn Layer<Registry> + Send + Sync>, LogLevel)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A filter of the whole subscriber, not of the one layer (`with_filter`): that one remembers per thread what it was asked
    // last, and a library that asks and then writes nothing (the driver does, before every command) loses the next line of ours.
    let (filter, reload) = reload::Layer::new(filter);
    let base = fmt::layer().with_writer(writer);
    let layer = if json {
        filter.and_then(base.json().flatten_event(true).with_current_span(true)).boxed()
    } else {
        filter.and_then(base.with_ansi(io::stderr().is_terminal())).boxed()
    };
    (layer, LogLevel { reload })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_changes_while_running_and_json_is_json() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (layer, level) = layer(EnvFilter::new("info"), true, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::debug!("hidden");
            tracing::info!(job = "j1", "shown");
            level.set("debug").unwrap();
            assert_eq!(level.get(), "debug");
            tracing::debug!("shown later");
            assert!(level.set("a=b=c").is_err());
            assert!(level.set("").is_err());
            tracing::debug!("still shown");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["shown", "shown later", "still shown"]);
        assert_eq!(lines[0]["job"], "j1");
    }

    #[test]
    fn no_line_is_lost_when_a_library_asks_whether_its_own_would_be_shown() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (layer, _level) = layer(EnvFilter::new(FILTER_DEFAULT), true, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            // As the bridge from `log` asks for the driver, which writes nothing then.
            let hidden = tracing::info_span!(target: "mongodb::command", "hidden");
            let metadata = hidden.metadata().unwrap();
            for n in 0..3 {
                assert!(!tracing::dispatcher::get_default(|dispatch| dispatch.enabled(metadata)));
                tracing::info!(n, "shown");
            }
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn journald_gets_json_unless_told_otherwise() {
        let with = |pairs: &'static [(&str, &str)]| {
            json_wanted(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(!with(&[]));
        assert!(with(&[("JOURNAL_STREAM", "8:1")]));
        assert!(with(&[("HOLDFAST_LOG_FORMAT", "json")]));
        assert!(!with(&[("HOLDFAST_LOG_FORMAT", "text"), ("JOURNAL_STREAM", "8:1")]));
    }
}
