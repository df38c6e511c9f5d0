//! The one style sheet and the one script, under names that change with what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");

const ICON: &str = concat!(
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b57b0"/>"##,
    r##"<path d="M2 5l6 4 6-4M2 5v7h12V5z" fill="none" stroke="#fff"/></svg>"##
);

/// Browsers may keep what never changes under its name.
const FOR_A_YEAR: &str = "private, max-age=31536000, immutable";

/// The names of the style sheet and of the script.
pub(super) static NAMES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let name = |content: &str, ending: &str| {
        let digest = crate::hex::encode(&Sha256::digest(content.as_bytes()));
        format!("{}.{ending}", &digest[..16])
    };
    [name(STYLE, "css"), name(SCRIPT, "js")]
});

pub(super) async fn file(Path(file): Path<String>) -> Response {
    let [style, script] = &*NAMES;
    let (content, media) = match file {
        file if file == *style => (STYLE, "text/css; charset=utf-8"),
        file if file == "icon.svg" => (ICON, "image/svg+xml"),
        file if file == *script => (SCRIPT, "text/javascript; charset=utf-8"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, FOR_A_YEAR)], content).into_response()
}
