//! Where the blockstore's payloads may lie: the database, folders, buckets. Global admins change it; processes follow within seconds.

use axum::{Json, extract::State, http::StatusCode};
use blockstore_engine::{NoPackStore, StoreNumber};
use holdfast_blockstore::S3Credentials;
use holdfast_metadb::{DATABASE_STORE, PayloadStore, PayloadStoreLocation, PayloadStoreState, PayloadStores};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    blockstore::{USAGE_WITHIN, engine_fault},
    caller::{Caller, fault},
    extract::{JsonOf, PathOf},
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Longest path, URL, name in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest list of certificates in bytes.
const CA_BYTES_MAX: usize = 64 << 10;
/// Sizes of packs that make sense for operators, in MiB.
const PACK_MIB: std::ops::RangeInclusive<u32> = 1..=64;
const PACK_MIB_DEFAULT: u32 = 32;

/// A payload store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoreView {
    /// Its number; 0 is the blockstore's database.
    number: u8,
    /// `database`, `directory` or `s3`.
    kind: &'static str,
    /// The folder, or bucket and folder in it.
    location: Option<String>,
    /// URL of the service.
    endpoint: Option<String>,
    /// `active`, `draining` (being emptied) or `retired`.
    state: String,
    /// Whether new payloads go there.
    default: bool,
    /// Bytes of a full pack.
    pack_bytes: Option<u32>,
    /// Bytes per second in each direction for each process, at most.
    bandwidth_bytes_per_second: Option<u64>,
    /// Packs that lie there.
    packs: Option<u64>,
    /// Bytes on the disk or in the bucket. Null when not asked for, or when the store does not answer.
    bytes: Option<u64>,
    /// Why it cannot be used now by this process.
    fault: Option<String>,
}

impl StoreView {
    pub(crate) fn is_in_use(&self) -> bool {
        self.state != "retired"
    }

    pub(crate) fn disk_bytes(&self) -> Option<u64> {
        self.bytes
    }

    fn of(store: &PayloadStore, stores: &PayloadStores, faults: &[NoPackStore]) -> Self {
        let (kind, location, endpoint) = match &store.location {
            PayloadStoreLocation::Directory { path } => ("directory", path.clone(), None),
            PayloadStoreLocation::S3 { endpoint, bucket, prefix, .. } => {
                ("s3", folder_in(bucket, prefix), endpoint.clone())
            }
        };
        Self {
            number: store.number,
            kind,
            location: Some(location),
            endpoint,
            state: word(store.state),
            default: stores.default == store.number,
            pack_bytes: Some(store.pack_bytes),
            bandwidth_bytes_per_second: store.bandwidth_bytes_per_second,
            packs: None,
            bytes: None,
            fault: faults.iter().find(|fault| fault.number.get() == store.number).map(|fault| fault.reason.clone()),
        }
    }
}

/// A bucket and the folder in it, in one word.
pub(crate) fn folder_in(bucket: &str, prefix: &str) -> String {
    format!("{bucket}/{prefix}").trim_end_matches('/').to_owned()
}

/// All stores, the database first; with what lies in them, if that is asked for.
pub(crate) async fn store_views(state: &WebState, with_usage: bool) -> Result<Vec<StoreView>, ApiError> {
    let stores = state.metadb().payload_stores().await.map_err(fault)?;
    let faults = state.blockstore().faults();
    let mut views = vec![StoreView {
        number: DATABASE_STORE,
        kind: "database",
        location: None,
        endpoint: None,
        state: "active".into(),
        default: stores.default == DATABASE_STORE,
        pack_bytes: None,
        bandwidth_bytes_per_second: None,
        packs: None,
        bytes: None,
        fault: None,
    }];
    views.extend(stores.stores.iter().map(|store| StoreView::of(store, &stores, &faults)));
    if with_usage {
        let stats = state.blockstore().stats().await.map_err(|e| engine_fault(e.class(), e))?;
        for view in views.iter_mut().filter(|view| view.is_in_use() && view.fault.is_none()) {
            match StoreNumber::new(view.number).filter(|_| view.number != DATABASE_STORE) {
                None => view.bytes = Some(stats.disk_bytes),
                Some(number) => {
                    let usage = tokio::time::timeout(USAGE_WITHIN, state.blockstore().pack_usage(number)).await;
                    match usage {
                        Ok(Ok(usage)) => (view.packs, view.bytes) = (Some(usage.packs), Some(usage.bytes)),
                        Ok(Err(error)) => view.fault = Some(error.to_string()),
                        Err(_) => view.fault = Some("it does not answer in time".into()),
                    }
                }
            }
        }
    }
    Ok(views)
}

/// A bucket of an S3-compatible service.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewBucket {
    /// URL of the service; left out: Amazon's. `http` is used only when it is written here.
    endpoint: Option<String>,
    /// Region, also where the service does not care (then any name).
    region: String,
    /// Bucket, which must exist.
    bucket: String,
    /// Folder in it.
    #[serde(default)]
    prefix: String,
    /// Whether the bucket stands in the host's name.
    #[serde(default)]
    virtual_hosted: bool,
    /// Certificates (PEM) that are trusted besides the system's.
    ca_pem: Option<String>,
    /// Name of the access key.
    access_key_id: String,
    /// Its secret; never shown again.
    secret_access_key: String,
}

/// A new store: a folder or a bucket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewStore {
    /// Absolute path of a folder that web, ingest and daemons all see.
    directory: Option<String>,
    /// A bucket.
    s3: Option<NewBucket>,
    /// New payloads go there from now on.
    #[serde(default)]
    default: bool,
    /// Size of a full pack in MiB, 1 to 64; default 32.
    pack_mib: Option<u32>,
    /// Bytes per second in each direction for each process, at most.
    bandwidth_bytes_per_second: Option<u64>,
}

fn text(name: &str, value: &str, may_be_empty: bool) -> Result<(), ApiError> {
    let is_sound = value.len() <= TEXT_BYTES_MAX && !value.chars().any(char::is_control);
    if is_sound && (may_be_empty || !value.is_empty()) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("{name} has 1 to {TEXT_BYTES_MAX} printable characters")))
}

fn location(state: &WebState, new: &NewStore) -> Result<PayloadStoreLocation, ApiError> {
    match (&new.directory, &new.s3) {
        (Some(path), None) => {
            text("directory", path, false)?;
            if !std::path::Path::new(path).is_absolute() {
                return Err(ApiError::bad_request("the folder must be given by an absolute path"));
            }
            Ok(PayloadStoreLocation::Directory { path: path.clone() })
        }
        (None, Some(bucket)) => bucket_location(state, bucket),
        _ => Err(ApiError::bad_request("either `directory` or `s3` must be given")),
    }
}

/// A bucket as it is stored, with its credentials sealed.
pub(crate) fn bucket_location(state: &WebState, bucket: &NewBucket) -> Result<PayloadStoreLocation, ApiError> {
    text("region", &bucket.region, false)?;
    text("bucket", &bucket.bucket, false)?;
    text("prefix", &bucket.prefix, true)?;
    text("accessKeyId", &bucket.access_key_id, false)?;
    text("secretAccessKey", &bucket.secret_access_key, false)?;
    if let Some(endpoint) = &bucket.endpoint {
        text("endpoint", endpoint, false)?;
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(ApiError::bad_request("the endpoint is a URL: https://host:port"));
        }
    }
    if bucket.ca_pem.as_ref().is_some_and(|pem| pem.len() > CA_BYTES_MAX) {
        return Err(ApiError::bad_request(format!("certificates have at most {CA_BYTES_MAX} bytes")));
    }
    let credentials = credentials(state, &bucket.access_key_id, &bucket.secret_access_key)?;
    Ok(PayloadStoreLocation::S3 {
        endpoint: bucket.endpoint.clone(),
        region: bucket.region.clone(),
        bucket: bucket.bucket.clone(),
        prefix: bucket.prefix.trim_matches('/').to_owned(),
        virtual_hosted: bucket.virtual_hosted,
        ca_pem: bucket.ca_pem.clone(),
        credentials,
    })
}

fn credentials(state: &WebState, id: &str, secret: &str) -> Result<Vec<u8>, ApiError> {
    let plain = S3Credentials { access_key_id: id.to_owned(), secret_access_key: secret.to_owned() };
    plain.seal(state.master_key()).map_err(fault)
}

/// The stores, with what lies in them.
#[utoipa::path(get, path = "/blockstore/stores", tag = "blockstore",
    responses((status = 200, body = [StoreView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_stores(State(state): State<WebState>) -> Result<Json<Vec<StoreView>>, ApiError> {
    Ok(Json(store_views(&state, true).await?))
}

/// Adds a store, after it was opened and marked as this blockstore's.
#[utoipa::path(post, path = "/blockstore/stores", tag = "blockstore", request_body = NewStore,
    responses((status = 201, body = StoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_store(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewStore>,
) -> Result<(StatusCode, Json<StoreView>), ApiError> {
    let location = location(&state, &new)?;
    let mib = new.pack_mib.unwrap_or(PACK_MIB_DEFAULT);
    if !PACK_MIB.contains(&mib) {
        return Err(ApiError::bad_request("a pack has 1 to 64 MiB"));
    }
    let limit = new.bandwidth_bytes_per_second.filter(|bytes| *bytes > 0);
    let add = |stores: &mut PayloadStores| stores.add(location.clone(), mib << 20, limit);
    let number = state.metadb().change_payload_stores(add).await.map_err(fault)?;
    state.blockstore().reload().await.map_err(fault)?;
    if let Some(found) = state.blockstore().faults().into_iter().find(|fault| fault.number.get() == number) {
        // Nothing was ever written there: its number is all that it leaves.
        let undo = |stores: &mut PayloadStores| stores.drain(number).and_then(|()| stores.retire(number));
        state.metadb().change_payload_stores(undo).await.map_err(fault)?;
        return Err(ApiError::conflict("storeUnusable", format!("it cannot be used: {}", found.reason)));
    }
    if new.default {
        state.metadb().change_payload_stores(|stores| stores.set_default(number)).await.map_err(fault)?;
        state.blockstore().reload().await.map_err(fault)?;
    }
    state.audit(&caller, None, "payload store added", &number.to_string()).await;
    Ok((StatusCode::CREATED, Json(one_view(&state, number).await?)))
}

/// What shall change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeStore {
    /// `true`: new payloads go there from now on.
    default: Option<bool>,
    /// `active` takes back that it is emptied, `retired` forgets an empty one.
    state: Option<String>,
    /// Bytes per second in each direction for each process, at most; 0: no limit.
    bandwidth_bytes_per_second: Option<u64>,
    /// Name of a new access key.
    access_key_id: Option<String>,
    /// Its secret.
    secret_access_key: Option<String>,
}

/// Changes a store. Number 0 is the database: it can be made the default.
#[utoipa::path(patch, path = "/blockstore/stores/{number}", tag = "blockstore", request_body = ChangeStore,
    params(("number" = u8, Path, description = "number of the store")),
    responses((status = 200, body = StoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_store(
    State(state): State<WebState>,
    caller: Caller,
    path: PathOf<u8>,
    JsonOf(change): JsonOf<ChangeStore>,
) -> Result<Json<StoreView>, ApiError> {
    let PathOf(number) = path;
    if change.default == Some(false) {
        return Err(ApiError::bad_request("make another store the default instead"));
    }
    let wanted = match change.state.as_deref() {
        None => None,
        Some("active") => Some(PayloadStoreState::Active),
        Some("retired") => {
            check_empty(&state, number).await?;
            Some(PayloadStoreState::Retired)
        }
        Some(_) => {
            return Err(ApiError::bad_request("`state` is `active` or `retired`; moving payloads drains a store"));
        }
    };
    let sealed = match (&change.access_key_id, &change.secret_access_key) {
        (Some(id), Some(secret)) => Some(credentials(&state, id, secret)?),
        (None, None) => None,
        _ => return Err(ApiError::bad_request("an access key is a name and a secret: both or none")),
    };
    let apply = |stores: &mut PayloadStores| {
        match wanted {
            Some(PayloadStoreState::Active) => stores.activate(number)?,
            Some(_) => stores.retire(number)?,
            None => {}
        }
        if let Some(bytes) = change.bandwidth_bytes_per_second {
            stores.set_bandwidth(number, Some(bytes).filter(|bytes| *bytes > 0))?;
        }
        if let Some(sealed) = &sealed {
            stores.set_credentials(number, sealed.clone())?;
        }
        if change.default == Some(true) {
            stores.set_default(number)?;
        }
        Ok(())
    };
    state.metadb().change_payload_stores(apply).await.map_err(fault)?;
    state.blockstore().reload().await.map_err(fault)?;
    state.audit(&caller, None, "payload store changed", &number.to_string()).await;
    Ok(Json(one_view(&state, number).await?))
}

/// Refuses while anything lies in a store, or may come there from a backup that began before it was drained.
async fn check_empty(state: &WebState, number: u8) -> Result<(), ApiError> {
    let packs = StoreNumber::new(number).filter(|_| number != DATABASE_STORE);
    let packs = packs.ok_or_else(|| ApiError::bad_request("the database is no store that can be retired"))?;
    let stats = state.blockstore().stats().await.map_err(|e| engine_fault(e.class(), e))?;
    if stats.writers > 0 {
        let detail = "backups are being written, which may have begun before: try again when they are done";
        return Err(ApiError::conflict("storeBusy", detail));
    }
    let usage = state.blockstore().pack_usage(packs).await.map_err(|e| engine_fault(e.class(), e))?;
    if usage.packs > 0 {
        let detail = format!("{} packs lie there: move its payloads to another store first", usage.packs);
        return Err(ApiError::conflict("storeNotEmpty", detail));
    }
    Ok(())
}

async fn one_view(state: &WebState, number: u8) -> Result<StoreView, ApiError> {
    let found = store_views(state, false).await?.into_iter().find(|view| view.number == number);
    found.ok_or_else(|| ApiError::not_found(format!("there is no payload store {number}")))
}
