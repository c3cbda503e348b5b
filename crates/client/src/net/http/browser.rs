//! HTTP in the browser: `fetch`, read piece by piece so that the size limit holds, and aborted when dropped.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit,
};

use super::{HttpError, Request, Response, WANTED_HEADERS};

#[derive(Clone, Default)]
pub(super) struct Http;

/// Tells the browser to stop when nobody waits any more.
struct AbortOnDrop(AbortController);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Http {
    pub(super) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let fetch: Function = Reflect::get(&js_sys::global(), &"fetch".into())
            .and_then(JsCast::dyn_into)
            .map_err(|_| HttpError::Unreachable("this browser has no fetch".into()))?;
        send_with(&fetch, request).await.map_err(|rejected| HttpError::Unreachable(words(&rejected)))?
    }
}

/// Sends through `fetch`, the browser's own or an authenticated one. The outer error is what the promise was rejected
/// with, for the session to look at.
pub(crate) async fn send_with(
    fetch: &Function,
    request: Request,
) -> Result<Result<Response, HttpError>, JsValue> {
    let controller = AbortOnDrop(AbortController::new()?);
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.0.signal()));
    let headers = Headers::new()?;
    for (name, value) in &request.headers {
        headers.append(name, value)?;
    }
    init.set_headers(&headers);
    if let Some(body) = &request.body {
        init.set_body(&Uint8Array::from(body.as_slice()));
    }
    let promise: Promise =
        fetch.call2(&JsValue::UNDEFINED, &JsValue::from_str(&request.url), &init)?.dyn_into()?;
    let response: web_sys::Response = JsFuture::from(promise).await?.dyn_into()?;
    let body = match read(&response, request.limit).await {
        Ok(body) => body,
        Err(error) => return Ok(Err(error)),
    };
    let values: Vec<(&str, String)> =
        WANTED_HEADERS.iter().filter_map(|name| Some((*name, response.headers().get(name).ok()??))).collect();
    let headers = values.iter().map(|(name, value)| (*name, value.as_str()));
    Ok(Ok(Response::new(response.status(), headers, body)))
}

async fn read(response: &web_sys::Response, limit: usize) -> Result<Vec<u8>, HttpError> {
    let broken = |e: JsValue| HttpError::Interrupted(words(&e));
    let mut body = Vec::new();
    let Some(stream) = response.body() else { return Ok(body) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    loop {
        let step = JsFuture::from(reader.read()).await.map_err(broken)?;
        if Reflect::get(&step, &"done".into()).map_err(broken)?.is_truthy() {
            return Ok(body);
        }
        let chunk: Uint8Array = Reflect::get(&step, &"value".into()).map_err(broken)?.unchecked_into();
        if body.len() + chunk.length() as usize > limit {
            return Err(HttpError::TooLarge { limit });
        }
        let start = body.len();
        body.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut body[start..]);
    }
}

/// What a JavaScript error says. Browsers hide the reason of a failed fetch on purpose, so it is rarely much.
pub(crate) fn words(error: &JsValue) -> String {
    error
        .dyn_ref::<js_sys::Error>()
        .map(|e| String::from(e.message()))
        .or_else(|| error.as_string())
        .unwrap_or_else(|| "no connection".into())
}
