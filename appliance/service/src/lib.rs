//! What every server process of the appliance shares: logs, shutdown, ports for the operator, TLS of the appliance's own
//! CA, the master key, configuration files.
//!
//! Invariants: operator ports and plain HTTP listen on loopback addresses only; secrets lie in files of mode 0600, appear
//! whole or not at all, and never in a log or a `Debug`; everything read from a socket is bounded in bytes and time.
//!
//! Called by the binaries and by web and ingest. It knows nothing of backups, databases or jobs, and depends on no other
//! crate of the workspace.

pub mod atomic_write;
mod bounded;
pub mod browser_certificate;
pub mod ca;
pub mod config;
pub mod debug_port;
mod error_class;
pub mod kill_port;
mod leaf;
pub mod log_lines;
pub mod logging;
pub mod metrics;
pub mod secret_box;
pub mod serve;
pub mod shutdown;
pub mod tls;

pub use atomic_write::{atomic_write, create_once};
pub use browser_certificate::{BrowserCertificate, BrowserCertificateError, BrowserCertificateSlot};
pub use ca::{AGENT_SERVER_NAME, Ca, CaError};
pub use config::{ConfigError, load_toml};
pub use debug_port::DebugPort;
pub use error_class::ErrorClass;
pub use kill_port::KillPort;
pub use log_lines::{LogLine, LogLines};
pub use logging::LogLevel;
pub use secret_box::{MasterKey, SecretError};
pub use serve::{ServeError, Served, serve};
pub use tls::{client_config, install_crypto_provider};
