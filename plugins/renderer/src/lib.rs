//! The default renderer: minijinja templates in English and German, every one of them replaceable by
//! the operator's config. An ordinary plugin; it has no privileges.

#[expect(missing_docs, clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        world: "renderer-plugin",
        pub_export_macro: false,
    });
}
mod config;
mod render;
mod templates;
mod view;

pub use bindings::ecomm::notification::types as contract;
pub use config::Config;
pub use render::Renderer;

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use std::sync::OnceLock;

    use crate::bindings::exports::ecomm::notification::renderer::{Email, Guest, Notification};

    /// What an order of a few lines takes, and as much again.
    const CALL_BYTES: usize = 128 << 10;

    static RENDERER: OnceLock<crate::Renderer> = OnceLock::new();

    struct Component;

    impl Guest for Component {
        fn configure(config: String) -> Result<(), String> {
            let renderer = crate::Renderer::new(&crate::Config::parse(&config)?)?;
            RENDERER.set(renderer).map_err(|_| "configure was called twice".to_owned())?;
            arena::reserve(CALL_BYTES);
            Ok(())
        }

        fn render(n: Notification) -> Result<Email, String> {
            RENDERER.get().ok_or("render was called before configure")?.render(&n)
        }
    }

    crate::bindings::export!(Component with_types_in crate::bindings);
}
