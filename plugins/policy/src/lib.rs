//! The default policy: exponential backoff, permanent replies give up, a mail in doubt is sent again or
//! held. An ordinary plugin; it has no privileges.

#[expect(missing_docs, clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        world: "policy-plugin",
        pub_export_macro: false,
    });
}
mod config;
mod decide;

pub use bindings::ecomm::notification::types as contract;
pub use bindings::exports::ecomm::notification::policy as decisions;
pub use config::Config;
pub use decide::{admit, on_failure};

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use std::sync::OnceLock;

    use arena as _;

    use crate::Config;
    use crate::decisions::{Admission, Failure, Guest, Notification, Situation, Verdict};

    static CONFIG: OnceLock<Config> = OnceLock::new();

    struct Component;

    impl Guest for Component {
        fn configure(config: String) -> Result<(), String> {
            CONFIG.set(Config::parse(&config)?).map_err(|_| "configure was called twice".to_owned())
        }

        fn admit(n: Notification, s: Situation) -> Admission {
            crate::admit(CONFIG.get_or_init(Config::default), &n, &s)
        }

        fn on_failure(_: Notification, f: Failure, s: Situation) -> Verdict {
            crate::on_failure(CONFIG.get_or_init(Config::default), &f, &s)
        }
    }

    crate::bindings::export!(Component with_types_in crate::bindings);
}
