//! What handlers take from a request. Every refusal is a problem.

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::App;
use super::gateway::Asks;
use super::problem::Problem;
use crate::service::patch::pointer;
use crate::service::{Error, Once, PageRequest, Patch, Principal};

/// Who is asking, by the bearer token.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let asks = parts.extensions.get::<Asks>().and_then(|Asks(who)| *who);
        Ok(Self(asks.ok_or(Error::Unauthenticated)?))
    }
}

/// Who is asking, if they say.
pub(super) struct MaybeCaller(pub(super) Option<Principal>);

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Asks>().and_then(|Asks(who)| *who)))
    }
}

/// The address that the request came from.
pub(super) struct From(pub(super) Option<IpAddr>);

impl FromRequestParts<App> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())))
    }
}

/// A JSON body, and the key that makes the request one with its retries. What breaks a rule is pointed at.
pub(super) struct Body<T>(pub(super) T, pub(super) Option<Once>);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (bytes, once) = read(request, app, &["application/json"]).await?;
        Ok(Self(parse(&bytes)?, once))
    }
}

/// A JSON merge patch (RFC 7396).
pub(super) struct PatchBody(pub(super) Patch, pub(super) Option<Once>);

impl FromRequest<App> for PatchBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (bytes, once) = read(request, app, &["application/merge-patch+json", "application/json"]).await?;
        Ok(Self(parse(&bytes)?, once))
    }
}

async fn read(request: Request, app: &App, media_types: &[&str]) -> Result<(Bytes, Option<Once>), Problem> {
    let headers = request.headers();
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media_types.iter().any(|m| media.eq_ignore_ascii_case(m)) {
        let detail = format!("the body must be {}", media_types[0]);
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
    }
    let key = headers.get("idempotency-key").cloned();
    let mut fingerprint = format!("{} {}\n", request.method(), request.uri().path()).into_bytes();
    let bytes = Bytes::from_request(request, app).await.map_err(|e| {
        if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("the body may have {} bytes", super::BODY_BYTES_MAX);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "body", "the body did not arrive whole")
        }
    })?;
    let once = key.map(|key| {
        fingerprint.extend_from_slice(&bytes);
        // A structured field's string (RFC 9651) stands in quotes; most clients leave them out.
        let key = key.to_str().unwrap_or_default();
        app.idempotency_key(key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(key), &fingerprint)
    });
    let refused = |e: Error| Problem::new(StatusCode::BAD_REQUEST, "idempotency-key", e.to_string());
    Ok((bytes, once.transpose().map_err(refused)?))
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |e: &serde_json::Error| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not JSON: {e}"))
    };
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        // serde would read an array as an object's fields in their order.
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|e| malformed(&e))?;
        return Err(Problem::invalid(String::new(), "must be an object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        if !e.inner().is_data() {
            return malformed(e.inner());
        }
        let said = e.inner().to_string();
        // serde_json appends a position, which the pointer already gives.
        let detail = said.rsplit_once(" at line ").map_or(said.as_str(), |(detail, _)| detail);
        Problem::invalid(pointer(e.path()), detail.to_owned())
    })?;
    json.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

/// A part of the path; anything that does not fit is not there.
pub(super) struct Id<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let missing = |_| Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path");
        Path::<T>::from_request_parts(parts, app).await.map(|Path(id)| Self(id)).map_err(missing)
    }
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl std::convert::From<Paging> for PageRequest {
    fn from(Paging { limit, cursor }: Paging) -> Self {
        Self { limit, cursor }
    }
}

/// The query, checked.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        let refused =
            |e: axum::extract::rejection::QueryRejection| Problem::new(StatusCode::BAD_REQUEST, "query", e.body_text());
        query.map(|Query(asked)| Self(asked)).map_err(refused)
    }
}

/// The version that a change expects (If-Match, RFC 9110 13.1.1); none: any.
pub(super) struct IfMatch(pub(super) Option<i64>);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" {
            return Ok(Self(None));
        }
        // What is no tag of ours matches nothing.
        Ok(Self(Some(version(value).unwrap_or(-1))))
    }
}

/// The version in a strong entity tag of ours.
fn version(tag: &str) -> Option<i64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// A strong entity tag: the version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether the client has this version already (If-None-Match, RFC 9110 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, current: i64) -> bool {
    let tags = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let weak = |tag: &str| version(tag.trim().trim_start_matches("W/"));
    tags.trim() == "*" || tags.split(',').any(|tag| weak(tag) == Some(current))
}
