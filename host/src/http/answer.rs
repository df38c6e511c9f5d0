//! What handlers answer with.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{etag, is_known};
use crate::service::Page;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T: ToSchema> {
    /// Its items.
    items: Vec<T>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A page, with a `Link` to the next (RFC 8288).
pub(super) fn page<T: Serialize + ToSchema>(page: Page<T>, uri: &Uri) -> Response {
    let link = page.next.as_ref().and_then(|cursor| {
        let kept = uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty() && !p.starts_with("cursor="));
        let mut query: Vec<&str> = kept.collect();
        let cursor = format!("cursor={cursor}");
        query.push(&cursor);
        HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))).ok()
    });
    let mut response = Json(List { items: page.items, next_cursor: page.next }).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// A thing with its entity tag; 304 for who has it.
pub(super) fn tagged<T: Serialize>(thing: &T, version: i64, request: &HeaderMap) -> Response {
    let tag = [(header::ETAG, etag(version))];
    if is_known(request, version) {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    (tag, Json(thing)).into_response()
}

/// A thing that was changed, with its new entity tag.
pub(super) fn changed<T: Serialize>(thing: &T, version: i64) -> Response {
    ([(header::ETAG, etag(version))], Json(thing)).into_response()
}

/// A thing that was made, and where.
pub(super) fn created<T: Serialize>(thing: &T, version: i64, location: String) -> Response {
    (StatusCode::CREATED, [(header::LOCATION, location), (header::ETAG, etag(version))], Json(thing)).into_response()
}

/// What must not stay in caches.
pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
