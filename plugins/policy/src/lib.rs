//! The default policy: exponential backoff, permanent replies give up, a mail in doubt is sent again or
//! held. An ordinary plugin; it has no privileges.
//!
//! It does without `std`, whose panics alone import a dozen functions of WASI: linking those to each fresh instance
//! costs more than a decision.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

#[expect(missing_docs, clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        world: "reporting-policy-plugin",
        generate_all,
        pub_export_macro: false,
    });
}
mod config;
mod decide;

pub use bindings::ecomm::format::zone::Civil;
pub use bindings::ecomm::notification::types as contract;
pub use bindings::exports::ecomm::notification::{policy as decisions, reports};
pub use config::{Config, manifest};
pub use decide::{Zones, admit, on_failure, on_report};

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use alloc::borrow::ToOwned as _;
    use alloc::boxed::Box;
    use alloc::string::String;
    use core::panic::PanicInfo;

    use once_cell::race::OnceBox;

    use crate::Config;
    use crate::bindings::ecomm::format::zone;
    use crate::bindings::exports::ecomm::notification::{plugin, policy, reports};
    use crate::contract::{ConfigError, Manifest};
    use crate::decisions::{Admission, Brief, Failure, Situation, Verdict};
    use crate::reports::{Reaction, Report};

    /// An order of the most lines takes about half.
    const CALL_BYTES: usize = 128 << 10;

    static CONFIG: OnceBox<Config> = OnceBox::new();

    // `memcmp`, which otherwise comes with `std`.
    #[link(name = "c")]
    unsafe extern "C" {}

    /// Without `std` there is nowhere to write to: the host reports the trap.
    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }

    fn config() -> &'static Config {
        CONFIG.get_or_init(Box::default)
    }

    struct Component;

    struct Host;

    impl crate::Zones for Host {
        fn civil_time(&self, unix_ms: u64, time_zone: &str) -> zone::Civil {
            zone::civil_time(unix_ms, time_zone)
        }

        fn unix_ms(&self, civil: zone::Civil, time_zone: &str) -> Option<u64> {
            zone::unix_ms(civil, time_zone)
        }
    }

    impl plugin::Guest for Component {
        fn describe() -> Manifest {
            crate::manifest()
        }

        fn configure(config: String) -> Result<(), ConfigError> {
            let twice = |_| ConfigError { pointer: String::new(), message: "configure was called twice".to_owned() };
            CONFIG.set(Box::new(Config::parse(&config)?)).map_err(twice)?;
            arena::reserve(CALL_BYTES);
            Ok(())
        }
    }

    impl policy::Guest for Component {
        fn admit(b: Brief, s: Situation) -> Admission {
            crate::admit(config(), &b, &s, &Host)
        }

        fn on_failure(b: Brief, f: Failure, s: Situation) -> Verdict {
            crate::on_failure(config(), &b, &f, &s)
        }
    }

    impl reports::Guest for Component {
        fn on_report(_: Brief, r: Report, s: Situation) -> Reaction {
            crate::on_report(config(), &r, &s)
        }
    }

    crate::bindings::export!(Component with_types_in crate::bindings);
}
