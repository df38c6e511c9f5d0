//! The calls on discounts.

use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status};

use super::convert::{at, field, money, take};
use super::services::Answer;
use super::{Api, filters, pb, status};
use crate::clock::rfc3339;
use crate::shop::discount::{Discount, NewDiscount};

impl From<Discount> for pb::Discount {
    fn from(discount: Discount) -> Self {
        let Discount {
            id,
            code,
            label,
            basis_points,
            amount,
            product_ids,
            subtotal_min,
            starts_at,
            ends_at,
            uses_max,
            uses_per_customer_max,
            uses,
            version,
            archived_at,
            created_at,
            updated_at,
        } = discount;
        Self {
            id,
            code: code.into(),
            label: label.into(),
            basis_points,
            amount: amount.map(Into::into),
            product_ids,
            subtotal_min: subtotal_min.map(Into::into),
            starts_at: starts_at.map(at),
            ends_at: ends_at.map(at),
            uses_max,
            uses_per_customer_max,
            uses,
            version,
            created_at: Some(at(created_at)),
            updated_at: Some(at(updated_at)),
            archived_at: archived_at.map(at),
        }
    }
}

impl TryFrom<pb::CreateDiscountRequest> for NewDiscount {
    type Error = Status;

    fn try_from(request: pb::CreateDiscountRequest) -> Result<Self, Status> {
        let pb::CreateDiscountRequest {
            code,
            label,
            basis_points,
            amount,
            product_ids,
            subtotal_min,
            starts_at,
            ends_at,
            uses_max,
            uses_per_customer_max,
            request_id: _,
        } = request;
        let price = |name: &'static str, price: Option<pb::Money>| {
            price.map(|price| take(name, money(name, Some(price))?)).transpose()
        };
        Ok(Self {
            code: take("code", code)?,
            label: take("label", label)?,
            basis_points: number("basis_points", basis_points)?,
            amount: price("amount", amount)?,
            product_ids,
            subtotal_min: price("subtotal_min", subtotal_min)?,
            starts_at: filters::unix_ms("starts_at", starts_at)?,
            ends_at: filters::unix_ms("ends_at", ends_at)?,
            uses_max: number("uses_max", uses_max)?,
            uses_per_customer_max: number("uses_per_customer_max", uses_per_customer_max)?,
        })
    }
}

fn number<T: TryFrom<i64, Error = String>>(name: &str, number: Option<u32>) -> Result<Option<T>, Status> {
    number.map(|number| take(name, i64::from(number))).transpose()
}

/// What can be changed of a discount, as REST writes it.
fn fields(discount: pb::Discount) -> Result<Value, Status> {
    let pb::Discount { code, label, basis_points, amount, product_ids, subtotal_min, .. } = discount;
    let pb::Discount { starts_at, ends_at, uses_max, uses_per_customer_max, .. } = discount;
    let time = |name: &str, at| Ok::<_, Status>(filters::unix_ms(name, at)?.map(rfc3339::text));
    Ok(json!({
        "code": code, "label": label, "basis_points": basis_points, "amount": amount.map(filters::money),
        "product_ids": product_ids, "subtotal_min": subtotal_min.map(filters::money),
        "starts_at": time("starts_at", starts_at)?, "ends_at": time("ends_at", ends_at)?,
        "uses_max": uses_max, "uses_per_customer_max": uses_per_customer_max,
    }))
}

#[tonic::async_trait]
impl pb::discount_service_server::DiscountService for Api {
    async fn create_discount(&self, request: Request<pb::CreateDiscountRequest>) -> Answer<pb::CreateDiscountResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let discount = self.0.create_discount(who, request.try_into()?, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(pb::CreateDiscountResponse { discount: Some(discount.into()) }))
    }

    async fn get_discount(&self, request: Request<pb::GetDiscountRequest>) -> Answer<pb::GetDiscountResponse> {
        let who = self.caller(&request)?;
        let discount = self.0.discount(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetDiscountResponse { discount: Some(discount.into()) }))
    }

    async fn list_discounts(&self, request: Request<pb::ListDiscountsRequest>) -> Answer<pb::ListDiscountsResponse> {
        let who = self.caller(&request)?;
        let pb::ListDiscountsRequest { page_size, page_token, code, show_deleted } = request.into_inner();
        let code = if code.is_empty() { None } else { Some(take("code", code)?) };
        let page = filters::page(page_size, page_token)?;
        let found = self.0.discounts(who, code.as_ref(), show_deleted, &page).await.map_err(status)?;
        Ok(Response::new(pb::ListDiscountsResponse {
            discounts: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn update_discount(&self, request: Request<pb::UpdateDiscountRequest>) -> Answer<pb::UpdateDiscountResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let pb::UpdateDiscountRequest { discount, update_mask, etag, request_id: _ } = request;
        let discount = discount.ok_or_else(|| field("discount", "must be given"))?;
        let (id, expected) = (discount.id, filters::etag(&etag)?);
        let patch: Map<String, Value> = filters::masked(fields(discount)?, update_mask)?;
        let discount = self.0.update_discount(who, id, &patch, expected, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(pb::UpdateDiscountResponse { discount: Some(discount.into()) }))
    }

    async fn delete_discount(&self, request: Request<pb::DeleteDiscountRequest>) -> Answer<pb::DeleteDiscountResponse> {
        let who = self.caller(&request)?;
        let pb::DeleteDiscountRequest { id, etag } = request.into_inner();
        self.0.archive_discount(who, id, filters::etag(&etag)?).await.map_err(status)?;
        Ok(Response::new(pb::DeleteDiscountResponse {}))
    }
}
