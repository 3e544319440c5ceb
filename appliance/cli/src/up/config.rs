//! The configuration that `up` writes for the parts, and how each is started.

use anyhow::Context as _;
use holdfast_service::atomic_write;
use toml::{Table, Value, toml};

use super::{layout::Layout, ports::Ports, programs::Programs, service, supervisor::Service};

fn text(path: &std::path::Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

fn loopback(port: u16) -> Value {
    Value::String(format!("127.0.0.1:{port}"))
}

/// Writes `holdfast.toml`. It holds the database's key, so only the owner may read it.
pub(super) fn write(layout: &Layout, ports: &Ports, programs: &Programs, uri: &str) -> anyhow::Result<()> {
    let table = table(layout, ports, programs, uri);
    let path = layout.config_file();
    let body = toml::to_string_pretty(&table).context("write the configuration")?;
    let body = format!("# Written by `holdfast up` at every start; changes made here are lost.\n{body}");
    atomic_write(&path, body.as_bytes(), 0o600).with_context(|| format!("write {}", path.display()))
}

fn table(layout: &Layout, ports: &Ports, programs: &Programs, uri: &str) -> Table {
    let mut table = toml! {
        [app_database]
        name = "holdfast"
        [blockstore]
        name = "holdfast_blockstore"
        [data]
        [web]
        tls = true
        [ingest]
        tls = true
        [app]
        [daemon]
        name = "local"
        labels = []
    };
    let mut set = |section: &str, name: &str, value: Value| {
        if let Some(Value::Table(section)) = table.get_mut(section) {
            section.insert(name.to_owned(), value);
        }
    };
    set("app_database", "uri", uri.into());
    set("blockstore", "uri", uri.into());
    set("data", "dir", text(&layout.data()));
    set("web", "listen", loopback(ports.web));
    set("web", "public_url", ports.web_url().into());
    set("ingest", "listen", loopback(ports.ingest));
    set("ingest", "public_url", ports.ingest_url().into());
    set("ingest", "debug_listen", loopback(ports.ingest_debug));
    set("app", "kill_listen", loopback(ports.ingest_kill));
    set("daemon", "head_dir", text(&layout.path("daemon")));
    set("daemon", "kill_listen", loopback(ports.daemon_kill));
    set("daemon", "debug_listen", loopback(ports.daemon_debug));
    set("daemon", "head_ports", ports.heads.iter().map(|&p| Value::Integer(p.into())).collect::<Vec<_>>().into());
    set("daemon", "restore_ports", vec![i64::from(ports.restores.0), i64::from(ports.restores.1)].into());
    set("daemon", "mongod_binaries", vec![text(&programs.mongod)].into());
    table
}

pub(super) fn init_arguments(layout: &Layout) -> Vec<String> {
    let path = |p: std::path::PathBuf| p.to_string_lossy().into_owned();
    vec![
        "init".into(),
        "--config".into(),
        path(layout.config_file()),
        "--admin-key-file".into(),
        path(layout.admin_key()),
        "--pack-directory".into(),
        path(layout.path("packs")),
    ]
}

/// The parts, in the order in which they are started.
pub(super) fn services(layout: &Layout, ports: &Ports, programs: &Programs) -> Vec<Service> {
    let arguments = |first: &[&str], name: &str| -> Vec<String> {
        let mut all: Vec<String> = first.iter().map(|&a| a.to_owned()).collect();
        all.extend(["--config".to_owned(), layout.config_file().to_string_lossy().into_owned()]);
        all.extend(["--ready-file".to_owned(), layout.service_ready(name).to_string_lossy().into_owned()]);
        all
    };
    let mut web = arguments(&["web"], "web");
    let web_ports = [("--kill-listen", ports.web_kill), ("--debug-listen", ports.web_debug)];
    web.extend(web_ports.into_iter().flat_map(|(name, port)| [name.to_owned(), format!("127.0.0.1:{port}")]));
    vec![
        service("web", &programs.app, web, layout),
        service("ingest", &programs.app, arguments(&["ingest"], "ingest"), layout),
        service("daemon", &programs.daemon, arguments(&[], "daemon"), layout),
    ]
}
