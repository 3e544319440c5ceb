//! A download that survives a broken line.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use futures::StreamExt as _;
use indicatif::ProgressBar;
use reqwest::{StatusCode, header};
use tokio::{fs::File, io::AsyncWriteExt as _, time::sleep};

use super::unpack::Sink;
use crate::client::refusal;

/// Tries without a byte of progress before giving up; with the pauses between them about two minutes.
const TRIES_MAX: u32 = 8;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

enum Target {
    File(File),
    Pipe(Sink),
}

impl Target {
    async fn write(&mut self, chunk: bytes::Bytes) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.write_all(&chunk).await.context("write the download"),
            Self::Pipe(sink) => sink.send(chunk).await,
        }
    }
}

/// Into a file, which appears under its name only when it is whole.
pub(super) async fn to_file(http: &reqwest::Client, url: &str, path: &Path, bar: ProgressBar) -> anyhow::Result<()> {
    let mut name = path.file_name().context("-o needs the name of a file")?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let file = File::create(&part).await.with_context(|| format!("create {}", part.display()))?;
    let mut target = Target::File(file);
    download(http, url, &mut target, bar).await?;
    if let Target::File(mut file) = target {
        file.flush().await.context("write the download")?;
        file.sync_all().await.context("write the download to disk")?;
    }
    tokio::fs::rename(&part, path).await.with_context(|| format!("rename {} to {}", part.display(), path.display()))
}

/// Into the reader of a pipe.
pub(super) async fn to_pipe(http: &reqwest::Client, url: &str, sink: Sink, bar: ProgressBar) -> anyhow::Result<()> {
    let mut target = Target::Pipe(sink);
    download(http, url, &mut target, bar).await?;
    if let Target::Pipe(sink) = target {
        sink.finish().await;
    }
    Ok(())
}

async fn download(http: &reqwest::Client, url: &str, target: &mut Target, bar: ProgressBar) -> anyhow::Result<()> {
    let mut state = State::default();
    let mut tries = 0;
    loop {
        let before = state.done;
        match attempt(http, url, target, &mut state, &bar).await {
            Ok(()) => {
                bar.finish_and_clear();
                return Ok(());
            }
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Broken(error)) => {
                tries = if state.done > before { 1 } else { tries + 1 };
                if tries >= TRIES_MAX || (state.done > 0 && state.etag.is_none()) {
                    return Err(error.context(format!("the download broke off after {} bytes", state.done)));
                }
                sleep(Duration::from_millis(500 << tries).min(PAUSE_MAX)).await;
            }
        }
    }
}

#[derive(Default)]
struct State {
    done: u64,
    etag: Option<String>,
}

enum Stop {
    /// Trying again is useless.
    Final(anyhow::Error),
    /// The line or the server went away.
    Broken(anyhow::Error),
}

async fn attempt(
    http: &reqwest::Client,
    url: &str,
    target: &mut Target,
    state: &mut State,
    bar: &ProgressBar,
) -> Result<(), Stop> {
    let mut request = http.get(url);
    if let (true, Some(etag)) = (state.done > 0, &state.etag) {
        request = request.header(header::RANGE, format!("bytes={}-", state.done)).header(header::IF_RANGE, etag);
    }
    let response = request.send().await.context("fetch the restore").map_err(Stop::Broken)?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Stop::Broken(anyhow::anyhow!("the appliance answered {status}")));
    }
    if !status.is_success() {
        let body = response.bytes().await.unwrap_or_default();
        return Err(Stop::Final(refusal(status, &body).into()));
    }
    if state.done > 0 && status != StatusCode::PARTIAL_CONTENT {
        let text = "the stored form of this restore changed meanwhile: start the download again";
        return Err(Stop::Final(anyhow::anyhow!(text)));
    }
    if state.etag.is_none() {
        state.etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
    }
    let expected = response.content_length().map(|rest| state.done + rest);
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.context("the connection broke").map_err(Stop::Broken)?;
        let size = chunk.len() as u64;
        target.write(chunk).await.map_err(Stop::Final)?;
        state.done += size;
        bar.set_position(state.done);
    }
    match expected {
        Some(expected) if expected != state.done => Err(Stop::Broken(anyhow::anyhow!("the connection ended early"))),
        _ => Ok(()),
    }
}
