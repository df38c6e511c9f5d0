//! `ecomm`: see `ecomm help`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(e) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "ecomm: {e:#}");
            ExitCode::FAILURE
        }
    }
}
