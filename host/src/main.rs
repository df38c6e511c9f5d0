//! `ecomm`: see `ecomm help`.

mod cli;

use std::process::ExitCode;

/// Much is allocated on one thread and freed on another, small and short-lived: 6 % more mails than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(e) => {
            cli::output::complain(&e);
            ExitCode::FAILURE
        }
    }
}
