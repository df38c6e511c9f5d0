use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::extract::{Body, Caller, From, Id};
use super::problem::Problem;
use crate::shop::user::{EmailVerification, NewPassword, PasswordReset};

/// Sends the link that verifies a user's new address once more. Oneself, or anybody for admins.
#[utoipa::path(
    post,
    path = "/v1/users/{id}/email-verification",
    tag = "users",
    params(("id" = i64, Path)),
    responses(
        (status = 202, description = "The mail is queued"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn request_verification(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<StatusCode, Problem> {
    app.request_verification(who, id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Verifies an address by the token of the link that was sent to it.
#[utoipa::path(
    post,
    path = "/v1/email-verifications",
    tag = "users",
    request_body = EmailVerification,
    responses(
        (status = 204, description = "The address is verified, and in use"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn verify(
    State(app): State<App>,
    Body(EmailVerification { token }, _): Body<EmailVerification>,
) -> Result<StatusCode, Problem> {
    app.verify_email(&token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a link that sets another password sent to an address, if it is a user's. The answer is the same if it is nobody's.
#[utoipa::path(
    post,
    path = "/v1/password-resets",
    tag = "users",
    request_body = PasswordReset,
    responses(
        (status = 202, description = "It is taken care of"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn request_reset(
    State(app): State<App>,
    From(from): From,
    Body(PasswordReset { email }, _): Body<PasswordReset>,
) -> Result<StatusCode, Problem> {
    app.request_password_reset(&email, from).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets another password by the token of the link that was sent for it. Works once, and ends all of the user's sessions.
#[utoipa::path(
    post,
    path = "/v1/password-resets/complete",
    tag = "users",
    request_body = NewPassword,
    responses(
        (status = 204, description = "The new password is in use"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn reset(
    State(app): State<App>,
    Body(NewPassword { token, password }, _): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    app.reset_password(&token, &password).await?;
    Ok(StatusCode::NO_CONTENT)
}
