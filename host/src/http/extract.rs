//! What handlers take from a request. Every refusal is a problem.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::App;
use super::problem::Problem;
use crate::service::{PageRequest, Principal};

/// Who is asking, by the bearer token.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        // The scheme's name has no case (RFC 9110 11.1).
        let bearer = value.and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
        Ok(Self(app.authenticate(bearer.map(|(_, token)| token.trim()))?))
    }
}

/// A JSON body. What breaks a rule is pointed at.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            let detail = "the body must be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
        }
        let bytes = Bytes::from_request(request, app).await.map_err(|e| {
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail = format!("the body may have {} bytes", super::BODY_BYTES_MAX);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "body", "the body did not arrive whole")
            }
        })?;
        Ok(Self(parse(&bytes)?))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
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
        let pointer = e.path().iter().map(segment).collect();
        let said = e.inner().to_string();
        // serde_json appends a position, which the pointer already gives.
        let detail = said.rsplit_once(" at line ").map_or(said.as_str(), |(detail, _)| detail);
        Problem::invalid(pointer, detail.to_owned())
    })?;
    json.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

/// A step of a JSON pointer (RFC 6901 3).
fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    }
}

/// A number in the path; anything else is not there.
pub(super) struct Id<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let missing = |_| Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path");
        Path::<T>::from_request_parts(parts, app).await.map(|Path(id)| Self(id)).map_err(missing)
    }
}

/// Which page of a list: `?limit=…&cursor=…`.
pub(super) struct Paging(pub(super) PageRequest);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagingQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl FromRequestParts<App> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<PagingQuery>::from_request_parts(parts, app).await;
        let Query(PagingQuery { limit, cursor }) =
            query.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, "query", e.body_text()))?;
        Ok(Self(PageRequest { limit, cursor }))
    }
}
