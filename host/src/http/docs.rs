//! The API's description (OpenAPI 3.1), out of the handlers, and pages to read and try it. Nothing is loaded from
//! elsewhere.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::problem::Problem;
use super::{
    accounts, bulk, discounts, endpoints, hosts, notifications, operations, orders, plugins, products, queue, sessions,
    suppressions, users, webhooks,
};
use crate::money::Currency;
use crate::shop::order::OrderSort;
use crate::shop::product::ProductSort;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ecomm",
        description = "An e-commerce backend whose customer notifications are programmable and cannot be lost.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        users::create, users::list, users::one, users::update, users::delete,
        accounts::request_verification, accounts::verify, accounts::request_reset, accounts::reset,
        sessions::log_in, sessions::renew, sessions::list, sessions::log_out, sessions::revoke,
        products::create, products::list, products::one, products::update, products::archive,
        products::alert, products::forget_alert,
        discounts::create, discounts::list, discounts::one, discounts::update, discounts::archive,
        orders::place, orders::list, orders::one, orders::cancel, orders::change_status,
        orders::refund, orders::report_payment, orders::invoice, orders::note,
        notifications::of_order, notifications::list, notifications::one, notifications::retry, notifications::cancel,
        notifications::hold, bulk::start, bulk::list, bulk::one, bulk::cancel, queue::one, queue::pause, queue::resume,
        notifications::mails, notifications::mail, hosts::list,
        webhooks::take,
        suppressions::list, suppressions::add, suppressions::import, suppressions::one, suppressions::lift,
        endpoints::list, endpoints::create, endpoints::one, endpoints::update, endpoints::delete, endpoints::rotate,
        endpoints::test,
        plugins::list, plugins::upload, plugins::sign, plugins::signatures, plugins::revisions, operations::install, plugins::revision, plugins::stage,
        plugins::preview, operations::replay, plugins::history, plugins::collect_garbage, plugins::roll_back,
        operations::reload, operations::list, operations::one, operations::cancel, plugins::reproduce,
    ),
    modifiers(&Bearer),
    components(schemas(Problem, Currency, OrderSort, ProductSort)),
    servers((url = "/"))
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = &mut openapi.components {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
            components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
        }
    }
}

/// The API's description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

pub(super) async fn document() -> Json<&'static utoipa::openapi::OpenApi> {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(openapi);
    Json(&DOCUMENT)
}

pub(super) async fn index() -> Redirect {
    Redirect::permanent("/docs/index.html")
}

pub(super) async fn file(Path(name): Path<String>) -> Response {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/openapi.json")));
    match utoipa_swagger_ui::serve(&name, CONFIG.clone()) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response(),
        Ok(None) | Err(_) => {
            Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path").into_response()
        }
    }
}
