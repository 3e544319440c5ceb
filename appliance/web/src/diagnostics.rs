//! The diagnostics bundle: what someone who looks for a fault wants to read, as one file.
//!
//! Invariant: it holds no secret. It is made of the API's own answers to the very caller who asks, which hold none, and of the log, which
//! holds none; nothing is read from the databases for it alone. What cannot be had is said in its place.

use std::{io::Write as _, net::SocketAddr};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse as _, Response},
};
use flate2::{Compression, write::GzEncoder};
use holdfast_domain::ErrorClass;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    logs,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Longest answer that is taken, in bytes.
const PART_BYTES_MAX: usize = 8 << 20;
/// All of them.
const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Groups, and backups of a group, that are looked at.
const NAMED_MAX: usize = 200;
/// Pages of a thousand lines of the log.
const LOG_PAGES: usize = 10;
/// What is asked of the appliance: file and path.
const APPLIANCE: [(&str, &str); 14] = [
    ("daemons", "/daemons"),
    ("jobs", "/jobs?limit=200"),
    ("blockstore", "/blockstore"),
    ("blockstore-history", "/blockstore/history"),
    ("blockstore-report", "/blockstore/report"),
    ("blockstore-requests", "/blockstore/requests"),
    ("offsite-copies", "/offsite/copies"),
    ("settings-access", "/settings/access"),
    ("settings-mail", "/settings/mail"),
    ("settings-tls", "/settings/tls"),
    ("settings-oidc", "/settings/oidc"),
    ("settings-ldap", "/settings/ldap"),
    ("audit", "/audit?limit=500"),
    ("groups", "/groups"),
];
/// What is asked of a group.
const GROUP: [&str; 7] = ["overview", "deployments", "agents", "backups", "policies", "restores", "sftp/targets"];
/// What is asked of a backup.
const BACKUP: [&str; 2] = ["snapshots", "timeline"];
/// What tells who asks, and from where; the answers are those that the same caller gets.
const IDENTITY: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, HeaderName::from_static("x-forwarded-for")];

/// Asks the API as the caller.
struct Asker {
    state: WebState,
    headers: HeaderMap,
    peer: Option<ConnectInfo<SocketAddr>>,
}

impl Asker {
    fn request(&self, path: &str) -> Result<Request, ApiError> {
        let uri = format!("{}{path}", crate::API);
        let mut request = Request::builder().method(Method::GET).uri(uri).body(Body::empty());
        if let Ok(request) = &mut request {
            for name in IDENTITY {
                for value in self.headers.get_all(&name) {
                    request.headers_mut().append(name.clone(), value.clone());
                }
            }
            if let Some(peer) = self.peer {
                request.extensions_mut().insert(peer);
            }
        }
        request.map_err(|error| ApiError::from_class(ErrorClass::Bug, &error))
    }

    /// The answer, or why there is none.
    async fn ask(&self, path: &str) -> Result<Value, ApiError> {
        let Ok(answer) = crate::router(self.state.clone()).oneshot(self.request(path)?).await;
        let status = answer.status();
        let body = match to_bytes(answer.into_body(), PART_BYTES_MAX).await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            Err(_) => Value::String(format!("longer than {PART_BYTES_MAX} bytes")),
        };
        Ok(if status.is_success() { body } else { json!({ "notInTheBundle": status.as_u16(), "why": body["detail"] }) })
    }
}

/// The files that are gathered.
#[derive(Default)]
struct Bundle {
    files: Vec<(String, Vec<u8>)>,
    bytes: usize,
    left_out: usize,
}

impl Bundle {
    fn add(&mut self, name: String, content: Vec<u8>) {
        if self.bytes + content.len() > BUNDLE_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.bytes += content.len();
        self.files.push((name, content));
    }

    fn json(&mut self, name: &str, value: &Value) {
        self.add(format!("{name}.json"), serde_json::to_vec_pretty(value).unwrap_or_default());
    }

    /// A tar, compressed.
    fn pack(self, mtime: u64) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, content) in self.files {
            let mut head = tar::Header::new_gnu();
            head.set_size(content.len() as u64);
            head.set_mode(0o600);
            head.set_mtime(mtime);
            tar.append_data(&mut head, format!("holdfast-diagnostics/{name}"), content.as_slice())?;
        }
        let mut gzip = tar.into_inner()?;
        gzip.flush()?;
        gzip.finish()
    }
}

/// Names that a list gives, as parts of paths.
fn names(list: &Value, field: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| one[field].as_str().map(ToOwned::to_owned)).take(NAMED_MAX).collect()
}

fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

async fn gather(asker: &Asker) -> Result<Bundle, ApiError> {
    let mut bundle = Bundle::default();
    let about = json!({
        "product": "Holdfast", "version": env!("CARGO_PKG_VERSION"), "made": jiff::Timestamp::now().to_string(),
        "webUrl": asker.state.web_url(), "ingestUrl": asker.state.ingest_url(),
    });
    bundle.json("about", &about);
    let mut groups = Value::Null;
    for (name, path) in APPLIANCE {
        let answer = asker.ask(path).await?;
        bundle.json(name, &answer);
        if name == "groups" {
            groups = answer;
        }
    }
    for group in names(&groups, "name") {
        let mut backups = Value::Null;
        for what in GROUP {
            let answer = asker.ask(&format!("/groups/{}/{what}", part(&group))).await?;
            bundle.json(&format!("groups/{group}/{}", what.replace('/', "-")), &answer);
            if what == "backups" {
                backups = answer;
            }
        }
        for rs in names(&backups, "rs") {
            for what in BACKUP {
                let answer = asker.ask(&format!("/groups/{}/backups/{}/{what}", part(&group), part(&rs))).await?;
                bundle.json(&format!("groups/{group}/{rs}-{what}"), &answer);
            }
        }
    }
    bundle.add("log.txt".to_owned(), logs::newest(&asker.state, LOG_PAGES).await?.into_bytes());
    if bundle.left_out > 0 {
        let note = format!("{} files are left out: the bundle holds {BUNDLE_BYTES_MAX} bytes\n", bundle.left_out);
        bundle.files.push(("left-out.txt".to_owned(), note.into_bytes()));
    }
    Ok(bundle)
}

/// What someone who looks for a fault wants to read, as a `tar.gz`: the API's own answers to the caller, and the log. It holds no secret.
#[utoipa::path(get, path = "/diagnostics", tag = "appliance",
    responses((status = 200, description = "a tar.gz", content_type = "application/gzip", body = Vec<u8>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn download_diagnostics(
    State(state): State<WebState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let bundle = gather(&Asker { state, headers: parts.headers, peer: parts.extensions.get().copied() }).await?;
    let now = jiff::Timestamp::now();
    let mtime = u64::try_from(now.as_second()).unwrap_or(0);
    let packed = tokio::task::spawn_blocking(move || bundle.pack(mtime)).await;
    let bug = |error: &(dyn std::error::Error + 'static)| ApiError::from_class(ErrorClass::Bug, error);
    let packed = packed.map_err(|error| bug(&error))?.map_err(|error| bug(&error))?;
    let name = now.strftime("attachment; filename=\"holdfast-diagnostics-%Y%m%dT%H%M%SZ.tar.gz\"").to_string();
    let mut response = Body::from(packed).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
