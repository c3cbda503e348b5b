//! A small server of static files, for the demo: loopback only.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Listens on a port of 127.0.0.1; 0 takes a free one.
pub(crate) async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!("port {port} is taken: stop what uses it, or choose another with `--port` (0 takes any free one)")
    })
}

/// Serves a folder, and `config.json` from memory, until dropped.
pub(crate) async fn serve(listener: TcpListener, folder: PathBuf, config: String) {
    let site = Arc::new((folder, config));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let site = site.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let site = site.clone();
                async move { Ok::<_, Infallible>(answer(&request, &site.0, &site.1)) }
            });
            // A browser that goes away in the middle is no concern of ours.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer<B>(request: &Request<B>, folder: &Path, config: &str) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET".into());
    }
    let path = request.uri().path().trim_start_matches('/');
    if path == "config.json" {
        return response(StatusCode::OK, "application/json", config.to_owned().into());
    }
    let path = if path.is_empty() { "index.html" } else { path };
    let inside = !path.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    match std::fs::read(folder.join(path)) {
        Ok(bytes) if inside => response(StatusCode::OK, kind_of(path), bytes.into()),
        _ => response(StatusCode::NOT_FOUND, "text/plain", "there is no such file".into()),
    }
}

fn response(status: StatusCode, kind: &str, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("cache-control", "no-cache")
        .header("x-content-type-options", "nosniff")
        .body(Full::new(body))
        .expect("a response of constant headers is well formed")
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        _ => "application/octet-stream",
    }
}
