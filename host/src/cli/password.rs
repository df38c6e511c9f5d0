//! Passwords that people type, or that a pipe brings.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::Context as _;

/// A line: typed without being shown, or of standard input where that is no terminal.
pub(super) fn read(prompt: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{prompt}: ")).context("the password");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A new one: typed twice, so that a slip shuts nobody out.
pub(super) fn choose(prompt: &str) -> anyhow::Result<String> {
    let password = read(prompt)?;
    if std::io::stdin().is_terminal() {
        anyhow::ensure!(read("The same again")? == password, "the two are not the same");
    }
    Ok(password)
}
