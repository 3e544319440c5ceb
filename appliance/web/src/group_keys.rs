//! Export of a group's key: as a file for a recovery, and as a page for paper.
//!
//! Invariants: only a global admin gets a key; each export is noted in the audit trail; the answer is never to be kept by caches. The page is
//! complete in itself: no script, nothing is loaded from anywhere.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use blockstore_engine::GroupKey;
use qrcode::{EcLevel, QrCode, render::svg};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault},
    extract::JsonOf,
    instant::rfc3339,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Side of the code on the page, in pixels.
const QR_PIXELS: u32 = 320;

/// How the key shall look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum KeyForm {
    /// A small JSON file, which `holdfast recover` reads.
    #[default]
    File,
    /// A page to print, with a QR code.
    Html,
}

/// A request for a group's key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExportKey {
    /// `file` (default) or `html`.
    #[serde(default)]
    form: KeyForm,
}

/// A key, exported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportedKey {
    /// What names the key beside all that it encrypts.
    key_id: String,
    /// A name for the file.
    file_name: String,
    /// MIME type.
    content_type: &'static str,
    /// The file.
    content: String,
}

/// Exports the key of a group that encrypts: with it, and the blocks, all its backups can be read.
#[utoipa::path(post, path = "/groups/{group}/key/export", tag = "groups", request_body = ExportKey,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = ExportedKey), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn export_key(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(wanted): JsonOf<ExportKey>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<ExportedKey>), ApiError> {
    let name = &of.group.name;
    let id = of.group.key.as_ref().ok_or_else(|| {
        ApiError::conflict("groupNotEncrypted", format!("group {name} does not encrypt: there is no key"))
    })?;
    // Noted first: a key that went out unnoted would be worse than a note of one that did not.
    state.audit(&of.caller, Some(&of.group.id), "key exported", id).await;
    let key = state.blockstore().export_key(id).await.map_err(fault)?;
    let (content_type, ending, content) = match wanted.form {
        KeyForm::File => ("application/json", "json", key.to_file(name)),
        KeyForm::Html => {
            let now = rfc3339(jiff::Timestamp::now().as_second());
            ("text/html; charset=utf-8", "html", page(&key, name, &now)?)
        }
    };
    let exported =
        ExportedKey { key_id: id.clone(), file_name: format!("holdfast-key-{name}.{ending}"), content_type, content };
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(exported)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page. The code holds the same text that stands below it.
fn page(key: &GroupKey, group: &str, at: &str) -> Result<String, ApiError> {
    let text = key.export();
    let code = QrCode::with_error_correction_level(&text, EcLevel::Q)
        .map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS, QR_PIXELS).build();
    // What stands before the element is for files of its own.
    let drawn = drawn.find("<svg").map_or(drawn.as_str(), |from| &drawn[from..]);
    let (group, id) = (escaped(group), key.id());
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Holdfast key of {group}</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:3em auto;max-width:42em}}code{{font:18px/1.6 monospace;\
         overflow-wrap:anywhere}}@media print{{body{{margin:0}}}}</style></head>\n<body><h1>Key of group {group}</h1>\n\
         <p>Exported {at}. Key id <code>{id}</code>.</p>\n{drawn}\n<p><code>{text}</code></p>\n\
         <p>With this key and the blockstore, or a copy of its packs, every backup of this group can be read without the \
         appliance: <code>holdfast recover</code> takes it. Without it, and without the appliance's master key, none can. \
         Keep it where the backups are not.</p>\n</body></html>\n"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_page_shows_the_key_and_escapes_the_name() {
        let key = GroupKey::generate();
        let page = page(&key, "a<b", "now").unwrap();
        assert!(page.contains(&key.export()) && page.contains("<svg") && page.contains("a&lt;b"));
        assert!(!page.contains("a<b") && !page.contains("<script") && !page.contains("<?xml"));
    }
}
