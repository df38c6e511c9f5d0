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
    use crate::store;

    fn refused() -> io::Error {
        io::Error::other("connection refused")
    }

    #[test]
    fn each_cause_is_said_once() {
        let address = ([127, 0, 0, 1], 80).into();
        let listen = StartError::Listen { key: "http.listen", address, source: refused() };
        let read = ConfigError::Read { path: "a.toml".to_owned(), source: refused() };
        let database = StartError::Store(store::Error::from(sqlx_io(refused())));
        let nested = anyhow::Error::from(listen).context("failed to start");
        for error in [nested, read.into(), database.into()] {
            let text = chain(error.as_ref());
            assert_eq!(text.matches("connection refused").count(), 1, "{text}");
        }
    }

    fn sqlx_io(error: io::Error) -> sqlx::Error {
        sqlx::Error::Io(error)
    }
}
