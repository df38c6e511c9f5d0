//! Errors as problem+json (RFC 9457). The only place of the REST API that logs them.

use std::any::Any;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::gateway::NAME;
use crate::service::Error;

/// An error, as clients see it (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Which problem: stable, for programs.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, for people.
    detail: String,
    /// What is wrong with which part of the input.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Flaw>, required = false)]
    errors: Box<[Flaw]>,
    /// The request's name, as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// What is wrong with one part of the input.
#[derive(Debug, Serialize, ToSchema)]
struct Flaw {
    /// A JSON pointer (RFC 6901).
    pointer: String,
    /// What is wrong.
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:ecomm:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Box::default(),
            request_id: None,
            retry_after_s: None,
        }
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn invalid(pointer: String, detail: String) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the input breaks a rule");
        Self { errors: Box::new([Flaw { pointer, detail }]), ..problem }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        let (status, retry_after_s) = match &error {
            Error::Invalid { pointer, detail } => return Self::invalid(pointer.clone(), detail.clone()),
            Error::NotFound(_) => (StatusCode::NOT_FOUND, None),
            Error::Conflict(_) | Error::Taken(_) | Error::Cancelled => (StatusCode::CONFLICT, None),
            Error::Unauthenticated | Error::WrongCredentials | Error::WrongRefreshToken => {
                (StatusCode::UNAUTHORIZED, None)
            }
            Error::TooMany { retry_after } => {
                (StatusCode::TOO_MANY_REQUESTS, Some(u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX)))
            }
            Error::Stale { .. } => (StatusCode::PRECONDITION_FAILED, None),
            Error::KeyReused | Error::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Error::InFlight => (StatusCode::CONFLICT, Some(1)),
            Error::Forbidden | Error::Distrusted(_) => (StatusCode::FORBIDDEN, None),
            Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
            Error::StorageFull(e) => {
                tracing::error!(error = %e, "the database is full");
                (StatusCode::SERVICE_UNAVAILABLE, Some(30))
            }
            Error::DatabaseAway(e) => {
                tracing::error!(error = %e, "the database does not answer");
                (StatusCode::SERVICE_UNAVAILABLE, Some(1))
            }
            Error::Contended(e) => {
                tracing::warn!(error = %e, "a request lost to others each time that it was tried");
                (StatusCode::SERVICE_UNAVAILABLE, Some(1))
            }
            Error::Internal(e) => {
                tracing::error!(error = %e, "a request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, None)
            }
        };
        Self { retry_after_s, ..Self::new(status, &code, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.request_id = NAME.try_with(Clone::clone).ok();
        let retry_after_s = self.retry_after_s;
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path")
}

pub(super) async fn no_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not take this method")
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let said = cause.downcast_ref::<String>().cloned();
    let said = said.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
    tracing::error!(panic = said.unwrap_or_default(), "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on our side").into_response()
}
