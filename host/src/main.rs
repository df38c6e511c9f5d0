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
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "ecomm: {}", ecomm::cause::chain(e.as_ref()));
            ExitCode::FAILURE
        }
    }
}
