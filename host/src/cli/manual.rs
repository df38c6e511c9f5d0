//! What shells and `man` know of the command line, made from its definition.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;

/// Words that a shell completes, for it to read.
pub(super) fn completions(shell: clap_complete::Shell, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "ecomm", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// A manual page for each command, in section 1.
pub(super) fn pages(folder: &Path, command: Command) -> anyhow::Result<ExitCode> {
    let writing = || format!("manual pages cannot be written to {}", folder.display());
    fs::create_dir_all(folder).with_context(writing)?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), folder).with_context(writing)?;
    Ok(ExitCode::SUCCESS)
}
