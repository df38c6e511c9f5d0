#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ecomm::fuzz::reader("mails")(bytes));
