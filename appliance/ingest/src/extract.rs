//! Extractors whose refusals are problem+json: path parameters and JSON bodies. Documents on the wire take unknown fields.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};
use holdfast_agent_api::JSON_BODY_BYTES_MAX;
use serde::de::DeserializeOwned;

use crate::problem::ApiError;

/// Path parameters.
#[derive(Debug)]
pub(crate) struct PathOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}

/// A JSON body of at most [`JSON_BODY_BYTES_MAX`] bytes.
#[derive(Debug)]
pub(crate) struct JsonOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonOf<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), JSON_BODY_BYTES_MAX).await.map_err(|_| {
            let detail = format!("the body ended early, or it is larger than {JSON_BODY_BYTES_MAX} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "tooLarge", "The body is too large", detail)
        })?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ApiError::bad_request(format!("the body is not what is expected: {error}")))
    }
}
