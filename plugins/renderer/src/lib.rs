//! The default renderer: texts (Project Fluent) in twelve languages and templates (minijinja) around them, every one of them
//! replaceable by the operator's config. An ordinary plugin; it has no privileges.

#[expect(clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        world: "renderer-plugin",
        generate_all,
        pub_export_macro: false,
    });
}
mod config;
mod format;
mod messages;
mod pdf;
mod render;
mod structured;
mod theme;
mod variables;
mod view;

pub use bindings::ecomm::notification::types as contract;
pub use config::{Config, manifest};
pub use format::Formats;
pub use render::Renderer;

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use std::sync::OnceLock;

    use crate::bindings::ecomm::format::{text, zone};
    use crate::bindings::exports::ecomm::notification::{plugin, renderer};
    use crate::contract::{ConfigError, Email, Manifest, Moment, Money, Notification};
    use renderer::Request;

    /// What an order of a few lines takes, and as much again.
    const CALL_BYTES: usize = 128 << 10;

    static RENDERER: OnceLock<crate::Renderer> = OnceLock::new();

    struct Component;

    struct Host;

    impl crate::Formats for Host {
        fn money(&self, locale: &str, money: &Money) -> String {
            text::money(locale, money.amount, &money.currency, money.exponent)
        }

        fn date(&self, locale: &str, at: &Moment, time_zone: &str) -> String {
            let zone::Civil { year, month, day, .. } = zone::civil_time(at.unix_ms, time_zone);
            text::date(locale, text::Day { year, month, day }, text::Length::Long)
        }

        fn time(&self, locale: &str, at: &Moment, time_zone: &str) -> String {
            let zone::Civil { hour, minute, .. } = zone::civil_time(at.unix_ms, time_zone);
            text::time_of_day(locale, hour, minute)
        }

        fn utc(&self, at: &Moment) -> String {
            let zone::Civil { year, month, day, hour, minute, second } = zone::civil_time(at.unix_ms, "UTC");
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        }

        fn is_right_to_left(&self, locale: &str) -> bool {
            text::is_right_to_left(locale)
        }
    }

    impl plugin::Guest for Component {
        fn describe() -> Manifest {
            crate::manifest()
        }

        fn configure(config: String) -> Result<(), ConfigError> {
            let renderer = crate::Renderer::new(&crate::Config::parse(&config)?)?;
            let twice = |_| ConfigError { pointer: String::new(), message: "configure was called twice".to_owned() };
            RENDERER.set(renderer).map_err(twice)?;
            arena::reserve(CALL_BYTES);
            Ok(())
        }
    }

    impl renderer::Guest for Component {
        fn render(n: Notification, r: Request) -> Result<Email, String> {
            RENDERER.get().ok_or("render was called before configure")?.render(&n, r.ab_variant.as_deref(), &Host)
        }
    }

    crate::bindings::export!(Component with_types_in crate::bindings);
}
