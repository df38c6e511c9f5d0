//! An error with its causes, each once.

use std::error::Error;

/// The error's text and those of its causes, from the outside in, parted by colons. A cause that the text before already
/// says is left out: many errors repeat their source.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::chain;
    use crate::config::ConfigError;
    use crate::host::StartError;
    use crate::plugin::LoadError;
    use crate::service::Error;
    use crate::store;

    fn refused() -> io::Error {
        io::Error::other("connection refused")
    }

    /// Each variant of each error of the host that has a cause.
    #[test]
    fn each_cause_is_said_once() {
        let driver = || store::Error::from(sqlx::Error::Io(refused()));
        let migrate = || store::Error::from(sqlx::migrate::MigrateError::Execute(sqlx::Error::Io(refused())));
        let read = || LoadError::Read { path: "a.wasm".into(), source: refused() };
        let address = ([127, 0, 0, 1], 80).into();
        let listen = StartError::Listen { key: "http.listen", address, source: refused() };
        let errors: Vec<anyhow::Error> = vec![
            driver().into(),
            migrate().into(),
            read().into(),
            ConfigError::Read { path: "a.toml".to_owned(), source: refused() }.into(),
            StartError::Store(driver()).into(),
            StartError::Store(migrate()).into(),
            StartError::Plugins(read()).into(),
            Error::Refused(read()).into(),
            anyhow::Error::from(listen).context("failed to start"),
        ];
        for error in errors {
            let text = chain(error.as_ref());
            assert_eq!(text.matches("connection refused").count(), 1, "{text}");
        }
        // What a client reads says nothing of the driver; the log does.
        for error in [
            Error::StorageFull(driver()),
            Error::DatabaseAway(driver()),
            Error::Contended(driver()),
            Error::Internal(driver()),
        ] {
            assert!(!error.to_string().contains("connection refused"), "{error}");
            assert_eq!(chain(&error).matches("connection refused").count(), 1, "{error}");
        }
    }
}
