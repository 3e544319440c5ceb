//! Bodies that are one zstd frame of BSON documents: read within bounds, unpacked within bounds, checked.
//!
//! Invariants: no more than the bound is ever allocated, whatever a frame's header claims; the stored frame is exactly one frame and
//! unpacks to bytes whose hash is the one named. Called by the handlers that take payloads, sync slices and catalogs.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use holdfast_agent_api::SLICE_BODY_BYTES_MAX;
use holdfast_domain::Hash32;
use zstd::zstd_safe;

use crate::{
    in_flight::{InFlight, Permit},
    problem::ApiError,
};

/// Longest pause between two pieces of a body; a sender that stalls gives its room back.
const PIECE_WAIT: Duration = Duration::from_secs(30);

/// A body in memory, with the room that it takes.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The compressed bytes.
    pub(crate) bytes: Bytes,
    _room: Permit,
}

fn too_large(what: &str, max: usize) -> ApiError {
    let detail = format!("{what} is larger than {max} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "tooLarge", "The body is too large", detail)
}

fn damaged(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "badPayload", "The payload is damaged", detail)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most [`SLICE_BODY_BYTES_MAX`] bytes.
pub(crate) async fn read(in_flight: &InFlight, headers: &HeaderMap, body: Body) -> Result<Frame, ApiError> {
    let declared = declared_length(headers);
    let expected = declared.unwrap_or(SLICE_BODY_BYTES_MAX);
    if expected > SLICE_BODY_BYTES_MAX {
        return Err(too_large("the body", SLICE_BODY_BYTES_MAX));
    }
    let room = in_flight.body(expected).await;
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0));
    let mut pieces = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(PIECE_WAIT, pieces.next()).await;
        let next = next.map_err(|_| {
            let detail = format!("no byte of the body came for {} s", PIECE_WAIT.as_secs());
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "slowBody", "The body came too slowly", detail)
        })?;
        let Some(piece) = next else { break };
        let piece = piece.map_err(|error| damaged(format!("the body ended early: {error}")))?;
        if bytes.len() + piece.len() > expected {
            return Err(too_large("the body", expected));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Frame { bytes: bytes.freeze(), _room: room })
}

/// Reads a body and throws it away, so that a refusal reaches a sender that is still sending.
pub(crate) async fn drain(body: Body) {
    let mut left = SLICE_BODY_BYTES_MAX;
    let mut pieces = body.into_data_stream();
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(PIECE_WAIT, pieces.next()).await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Raw bytes of a frame, with the room that they take, and their hash.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Their BLAKE3.
    pub(crate) hash: Hash32,
    _room: Permit,
}

/// Unpacks a frame into at most `raw_max` bytes.
pub(crate) async fn unpack(in_flight: &InFlight, frame: &Frame, raw_max: usize) -> Result<Raw, ApiError> {
    let bytes = frame.bytes.clone();
    let one = zstd_safe::find_frame_compressed_size(&bytes)
        .map_err(|_| damaged("the body is not a zstd frame, or it ends early"))?;
    if one != bytes.len() {
        return Err(damaged("the body must be exactly one zstd frame"));
    }
    let claimed = zstd_safe::get_frame_content_size(&bytes).map_err(|_| damaged("the frame's header is damaged"))?;
    let capacity = match claimed {
        Some(size) => usize::try_from(size).ok().filter(|size| *size <= raw_max),
        None => Some(raw_max),
    };
    let capacity = capacity.ok_or_else(|| too_large("the decompressed body", raw_max))?;
    let room = in_flight.raw(capacity).await;
    let work = move || {
        let raw = zstd::bulk::decompress(&bytes, capacity).map_err(|error| match claimed {
            // The capacity was the bound itself: what does not fit is too large.
            None if error.to_string().contains("too small") => too_large("the decompressed body", raw_max),
            _ => damaged(format!("the frame does not decompress: {error}")),
        })?;
        let hash = Hash32::of(&raw);
        Ok((raw, hash))
    };
    let (bytes, hash) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))??;
    Ok(Raw { bytes, hash, _room: room })
}

/// The hash must be the one that was named.
pub(crate) fn check_hash(raw: &Raw, named: Hash32) -> Result<(), ApiError> {
    if raw.hash == named {
        return Ok(());
    }
    let detail = format!("the bytes have the BLAKE3 hash {}, not {named} as named: send them again", raw.hash);
    Err(ApiError::new(StatusCode::BAD_REQUEST, "wrongHash", "The bytes are not what was named", detail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const MAX: usize = 1 << 20;

    async fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, StatusCode> {
        let bound = InFlight::new(0, MAX);
        let frame = Frame { bytes: bytes.into(), _room: bound.body(1).await };
        unpack(&bound, &frame, MAX).await.map(|raw| raw.bytes).map_err(|error| error.status())
    }

    #[tokio::test]
    async fn bombs_and_damage_are_refused() {
        let good = zstd::bulk::compress(&vec![7; MAX], 1).unwrap();
        assert_eq!(unpacked(good.clone()).await.unwrap(), vec![7; MAX]);
        let bomb = zstd::bulk::compress(&vec![0; 64 * MAX], 1).unwrap();
        assert!(bomb.len() < 10_000, "a bomb indeed");
        assert_eq!(unpacked(bomb).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        let silent = zstd::stream::encode_all(&vec![0; 64 * MAX][..], 1).unwrap();
        assert_eq!(zstd_safe::get_frame_content_size(&silent).unwrap(), None, "says no size");
        assert_eq!(unpacked(silent).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        let two = [good.clone(), good.clone()].concat();
        assert_eq!(unpacked(two).await.unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(unpacked(good[..good.len() - 1].to_vec()).await.unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(unpacked(b"hello".to_vec()).await.unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(unpacked(Vec::new()).await.unwrap_err(), StatusCode::BAD_REQUEST);
    }
}
