//! Serves a folder on loopback as any static host would, and one `config.json` that is not in it.

use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What is served.
pub(crate) struct Site {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The text of `/config.json`.
    pub(crate) config: String,
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, site: Site) {
    let site = Arc::new(site);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = site.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A visitor that hangs up in the middle is no concern of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, kind, body) = if !matches!(*request.method(), Method::GET | Method::HEAD) {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "text/plain; charset=utf-8",
                Bytes::from_static(b"Only GET here.\n"),
            )
        } else if let Some((kind, body)) = self.find(request.uri().path()) {
            (StatusCode::OK, kind, body)
        } else {
            (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Bytes::from_static(b"Not here.\n"))
        };
        let body = if request.method() == Method::HEAD { Bytes::new() } else { body };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        // The next build is seen at the next reload.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    pub(crate) fn find(&self, path: &str) -> Option<(&'static str, Bytes)> {
        if path == "/config.json" {
            return Some(("application/json", self.config.clone().into()));
        }
        let relative = if path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
        let relative = Path::new(relative.trim_start_matches('/'));
        // Plain names only: nothing leads out of the folder, and what is hidden stays so.
        let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
        if !relative.components().all(plain) {
            return None;
        }
        let body = std::fs::read(self.folder.join(relative)).ok()?;
        Some((kind_of(relative), body.into()))
    }
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> (tempfile::TempDir, Site) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join("app/index.html"), "hello").unwrap();
        std::fs::write(folder.path().join("app/.made-from"), "hidden").unwrap();
        std::fs::write(folder.path().join("app/engine.wasm"), "\0asm").unwrap();
        std::fs::write(folder.path().join("app/sw.js"), "self").unwrap();
        std::fs::write(folder.path().join("app/manifest.webmanifest"), "{}").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        let site = Site { folder: folder.path().join("app"), config: "{}".into() };
        (folder, site)
    }

    #[test]
    fn files_have_their_kinds() {
        let (_folder, site) = site();
        assert_eq!(site.find("/"), Some(("text/html; charset=utf-8", Bytes::from("hello"))));
        assert_eq!(site.find("/engine.wasm"), Some(("application/wasm", Bytes::from("\0asm"))));
        assert_eq!(site.find("/sw.js"), Some(("text/javascript; charset=utf-8", Bytes::from("self"))));
        let manifest = site.find("/manifest.webmanifest");
        assert_eq!(manifest, Some(("application/manifest+json", Bytes::from("{}"))));
        assert_eq!(site.find("/config.json"), Some(("application/json", Bytes::from("{}"))));
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (folder, site) = site();
        let absolute = format!("/{}", folder.path().join("secret").display());
        for path in
            ["/../secret", "//../secret", "/x/../../secret", &absolute, "/.made-from", "/missing", "/app"]
        {
            assert_eq!(site.find(path), None, "{path}");
        }
    }
}
