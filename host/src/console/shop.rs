//! Products and users: enough for a small shop to live with. For admins.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::layout::{Failed, Page, act, badge, money, more, page, page_at, table, time};
use super::session::{Act, Operator};
use super::{App, see};
use crate::service::Error;
use crate::shop::product::{NewProduct, Product, ProductFilter};
use crate::shop::user::User;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    search: String,
}

/// A value of a form by the rules of the API: what breaks one is pointed at.
pub(super) fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Error> {
    crate::service::patch::from_value(value)
}

pub(super) async fn products(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let search = Some(asked.search.clone()).filter(|search| !search.is_empty()).map(TryInto::try_into).transpose();
    let search = search.map_err(|detail: String| Error::invalid("/search", &detail))?;
    let filter = ProductFilter { search, archived: true, ..ProductFilter::default() };
    let found = app.products(Some(operator.who), &filter, &page_at(&asked.cursor)).await?;
    let row = |product: &Product| {
        html! {
            th scope="row" { a href={ "/console/products/" (product.id) } { (product.name.as_str()) } }
            td { code { (product.sku.as_str()) } }
            td { (money(&product.price)) }
            td { (product.stock) }
            td { @if product.archived_at.is_some() { (badge("archived")) } }
        }
    };
    let rows: Vec<Markup> = found.items.iter().map(row).collect();
    Ok(page(
        &operator,
        "Products",
        &html! {
            h1 { "Products" }
            form.filter method="get" role="search" {
                label { "Words" input type="search" name="search" value=(asked.search); }
                button { "Search" }
            }
            (table("Products", &["Product", "SKU", "Price", "Stock", "Remark"], &rows))
            (more(found.next.as_deref(), "/console/products", &[("search", &asked.search)]))
            details { summary { "A new product" }
                (act(&operator, "/console/products", "Add", &html! {
                    label { "SKU" input name="sku" required autocomplete="off"; }
                    label { "Name" input name="name" required autocomplete="off"; }
                    label { "Price, in minor units" input type="number" name="amount" min="0" required; }
                    label { "Currency" input name="currency" value="EUR" pattern="[A-Z]{3}" required; }
                    label { "Stock" input type="number" name="stock" min="0" value="0" required; }
                }))
            }
        },
    ))
}

pub(super) async fn create_product(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let price = json!({ "amount": form.number::<i64>("amount")?, "currency": form.field("currency") });
    let stock = form.number::<i64>("stock")?;
    let new: NewProduct =
        read(json!({ "sku": form.field("sku"), "name": form.field("name"), "price": price, "stock": stock }))?;
    let subject = format!("product {}", new.sku.as_str());
    let product =
        app.recorded(who, "create-product", &subject, why, Box::pin(app.create_product(who, new, None))).await?;
    Ok(see(&format!("/console/products/{}", product.id)))
}

pub(super) async fn product(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let product = app.product(Some(operator.who), id).await?;
    Ok(page(
        &operator,
        &format!("Product {id}"),
        &html! {
            h1 { (product.name.as_str()) @if product.archived_at.is_some() { " " (badge("archived")) } }
            dl {
                dt { "SKU" } dd { code { (product.sku.as_str()) } }
                dt { "Price" } dd { (money(&product.price)) }
                dt { "Stock" } dd { (product.stock) }
                dt { "Changed" } dd { (time(product.updated_at)) }
            }
            (act(&operator, &format!("/console/products/{id}"), "Change", &html! {
                input type="hidden" name="version" value=(product.version);
                label { "Name" input name="name" value=(product.name.as_str()) required; }
                label { "Price, in minor units" input type="number" name="amount" value=(product.price.amount) min="0" required; }
                label { "Stock" input type="number" name="stock" value=(product.stock) min="0" required; }
            }))
        },
    ))
}

pub(super) async fn update_product(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let current = app.product(Some(who), id).await?;
    let price = json!({ "amount": form.number::<i64>("amount")?, "currency": current.price.currency });
    let patch = json!({ "name": form.field("name"), "price": price, "stock": form.number::<i64>("stock")? });
    let patch = patch.as_object().cloned().unwrap_or_default();
    let doing = app.update_product(who, id, &patch, form.number("version")?, None);
    app.recorded(who, "update-product", &format!("product {id}"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/products/{id}")))
}

pub(super) async fn users(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let found = app.users(operator.who, &page_at(&asked.cursor)).await?;
    let row = |user: &User| {
        html! {
            th scope="row" { a href={ "/console/users/" (user.id) } { (user.id) } }
            td { (user.name.as_str()) }
            td { (user.email.as_str()) }
            td { (role(user)) }
            td { (time(user.created_at)) }
        }
    };
    let rows: Vec<Markup> = found.items.iter().map(row).collect();
    Ok(page(
        &operator,
        "Users",
        &html! {
            h1 { "Users" }
            (table("Users", &["User", "Name", "E-mail", "Role", "Since"], &rows))
            (more(found.next.as_deref(), "/console/users", &[]))
        },
    ))
}

fn role(user: &User) -> &'static str {
    match (user.is_admin, user.role) {
        (true, _) => "admin",
        (false, Some(role)) => role.as_str(),
        (false, None) => "customer",
    }
}

pub(super) async fn user(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let user = app.user(operator.who, id).await?;
    Ok(page(
        &operator,
        &format!("User {id}"),
        &html! {
            h1 { (user.name.as_str()) }
            dl {
                dt { "E-mail" } dd { (user.email.as_str()) }
                dt { "Role" } dd { (role(&user)) }
                dt { "Language and zone" } dd { (user.locale.as_str()) ", " (user.time_zone.as_str()) }
                dt { "Mails" } dd { a href={ "/console/notifications?newest_first=on&customer=" (id) } { "Notifications to this customer" } }
            }
            (act(&operator, &format!("/console/users/{id}"), "Change the role", &html! {
                input type="hidden" name="version" value=(user.version);
                label { "Role" select.choice name="role" {
                    @for name in ["customer", "viewer", "operator", "admin"] { option value=(name) selected[role(&user) == name] { (name) } }
                } }
            }))
        },
    ))
}

pub(super) async fn change_role(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let patch = match form.field("role") {
        "admin" => json!({ "is_admin": true, "role": null }),
        "customer" => json!({ "is_admin": false, "role": null }),
        role @ ("viewer" | "operator") => json!({ "is_admin": false, "role": role }),
        _ => return Err(Error::NotFound("role").into()),
    };
    let patch = patch.as_object().cloned().unwrap_or_default();
    let doing = app.update_user(who, id, &patch, form.number("version")?, None);
    app.recorded(who, &format!("role-{}", form.field("role")), &format!("user {id}"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/users/{id}")))
}
