use crate::plugin::LoadError;
use crate::store;

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule.
    #[error("{pointer}{}{detail}", if pointer.is_empty() { "" } else { ": " })]
    Invalid {
        /// Where in the input, as a JSON pointer (RFC 6901).
        pointer: String,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no such thing, or it is not the caller's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It does not go together with what is.
    #[error("{0}")]
    Conflict(String),
    /// The name is somebody else's.
    #[error("{0}")]
    Taken(String),
    /// The caller did not say who they are, or not credibly.
    #[error("a valid access token is needed")]
    Unauthenticated,
    /// Log-in refused: the same for an unknown address and for a wrong password.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// The refresh token is not the newest of a live session.
    #[error("the refresh token is spent or was never valid; log in again")]
    WrongRefreshToken,
    /// Too many requests.
    #[error("too many requests; try again in {} s", retry_after.as_secs())]
    TooMany {
        /// When one more is let through.
        retry_after: std::time::Duration,
    },
    /// It has changed since the caller looked (If-Match, AIP-154).
    #[error("it has changed since: it is at version {current} now")]
    Stale {
        /// The version that it has.
        current: i64,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with the idempotency key is still under way.
    #[error("the first request with this idempotency key is still under way")]
    InFlight,
    /// It does not come from who it should.
    #[error("this is not taken: {0}")]
    Distrusted(String),
    /// What is needed for it cannot be reached at the moment.
    #[error("{0}; try again later")]
    Unavailable(String),
    /// The caller may not do this.
    #[error("your role does not allow this")]
    Forbidden,
    /// An operator cancelled it, or its host has ended.
    #[error("it was cancelled")]
    Cancelled,
    /// A component was not taken.
    #[error("the component was not taken: {0}")]
    Refused(#[from] LoadError),
    /// The database has no room for more.
    #[error("nothing can be stored at the moment: the database is full; nothing of this request was kept")]
    StorageFull(#[source] store::Error),
    /// The database does not answer.
    #[error("the database cannot be reached at the moment; whether this request was kept is not known")]
    DatabaseAway(#[source] store::Error),
    /// Others changed the same rows, each time that it was tried.
    #[error("others are changing the same at the same time; nothing of this request was kept")]
    Contended(#[source] store::Error),
    /// Something of the host failed.
    #[error("something went wrong on our side")]
    Internal(#[source] store::Error),
}

impl Error {
    /// The stable name of the problem, for programs.
    pub fn code(&self) -> String {
        let code = match self {
            Self::Invalid { .. } => "invalid",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Taken(_) => "taken",
            Self::Unauthenticated => "unauthenticated",
            Self::WrongCredentials => "wrong-credentials",
            Self::WrongRefreshToken => "wrong-refresh-token",
            Self::TooMany { .. } => "too-many-requests",
            Self::Stale { .. } => "stale",
            Self::KeyReused => "idempotency-key-reused",
            Self::InFlight => "in-flight",
            Self::Distrusted(_) => "distrusted",
            Self::Unavailable(_) => "unavailable",
            Self::Forbidden => "forbidden",
            Self::Cancelled => "cancelled",
            Self::Refused(e) => return format!("plugin:{}", e.code()),
            Self::StorageFull(_) => "storage-full",
            Self::DatabaseAway(_) => "database-unavailable",
            Self::Contended(_) => "contended",
            Self::Internal(_) => "internal",
        };
        code.to_owned()
    }

    /// Whether it was refused for its size alone.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused(LoadError::TooLarge { .. }))
    }

    /// The input breaks a rule at `pointer`.
    pub fn invalid(pointer: &str, detail: &str) -> Self {
        Self::Invalid { pointer: pointer.to_owned(), detail: detail.to_owned() }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_full() {
            Self::StorageFull(error)
        } else if error.is_away() {
            Self::DatabaseAway(error)
        } else if error.is_transient() {
            Self::Contended(error)
        } else {
            Self::Internal(error)
        }
    }
}
