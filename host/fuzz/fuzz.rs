//! libFuzzer feeds the reader that `ECOMM_FUZZ` names; `run` beside this file builds and starts it.

#![no_main]

use std::sync::LazyLock;

use ecomm::fuzz::{Reader, reader};

static READER: LazyLock<Reader> = LazyLock::new(|| reader(&std::env::var("ECOMM_FUZZ").expect("ECOMM_FUZZ is set")));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| READER(bytes));
