//! What lists and changes are asked for, from the messages to what the use cases take.

use prost_types::{FieldMask, Timestamp};
use serde_json::{Map, Value, json};
use tonic::Status;

use super::convert::{field, take};
use super::pb;
use crate::clock::rfc3339;
use crate::notification::report::{Delivery, ReportKind};
use crate::notification::{Filter, State};
use crate::service::{NewNotificationOperation, NotificationAct, Once, PageRequest, Patch, Service};
use crate::shop::order::{OrderFilter, OrderSort};
use crate::shop::product::{ProductFilter, ProductSort};

pub(super) fn page(size: i32, token: String) -> Result<PageRequest, Status> {
    let size = u32::try_from(size).map_err(|_| field("page_size", "must not be negative"))?;
    Ok(PageRequest { limit: (size > 0).then_some(size), cursor: (!token.is_empty()).then_some(token) })
}

/// The version that a change expects (AIP-154), as REST writes it or bare.
pub(super) fn etag(etag: &str) -> Result<Option<i64>, Status> {
    if etag.is_empty() {
        return Ok(None);
    }
    let version = etag.trim_matches('"').parse();
    version.map(Some).map_err(|_| field("etag", "must be the version of what is to be changed"))
}

/// Requests with the same id are one request (AIP-155).
pub(super) fn once<M: prost::Message>(
    service: &Service,
    request_id: &str,
    request: &M,
) -> Result<Option<Once>, Status> {
    if request_id.is_empty() {
        return Ok(None);
    }
    service
        .idempotency_key(request_id, &request.encode_to_vec())
        .map(Some)
        .map_err(|e| field("request_id", &e.to_string()))
}

/// For how long the caller wants to wait.
pub(super) fn wait(wait: Option<prost_types::Duration>) -> Result<std::time::Duration, Status> {
    let wait = wait.map(std::time::Duration::try_from).transpose();
    Ok(wait.map_err(|_| field("wait", "must not be negative"))?.unwrap_or_default())
}

pub(super) fn unix_ms(name: &str, at: Option<Timestamp>) -> Result<Option<i64>, Status> {
    let Some(Timestamp { seconds, nanos }) = at else { return Ok(None) };
    let ms = seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(nanos) / 1_000_000));
    let ms = ms.filter(|ms| rfc3339::is_in_range(*ms));
    ms.map(Some).ok_or_else(|| field(name, "is out of range"))
}

pub(super) fn products(request: pb::ListProductsRequest) -> Result<(ProductFilter, PageRequest), Status> {
    let pb::ListProductsRequest {
        page_size,
        page_token,
        query,
        category,
        price_min,
        price_max,
        show_deleted,
        order_by,
    } = request;
    let sort = match order_by.as_str() {
        "" | "created_at" => ProductSort::Oldest,
        "created_at desc" => ProductSort::Newest,
        "price" => ProductSort::Cheapest,
        "price desc" => ProductSort::Dearest,
        "name" => ProductSort::Name,
        _ => return Err(field("order_by", "must be created_at, created_at desc, price, price desc or name")),
    };
    let text = |name, text: String| if text.is_empty() { Ok(None) } else { take(name, text).map(Some) };
    let filter = ProductFilter {
        search: text("query", query)?,
        category: text("category", category)?,
        price_min,
        price_max,
        archived: show_deleted,
        sort,
    };
    Ok((filter, page(page_size, page_token)?))
}

pub(super) fn orders(request: pb::ListOrdersRequest) -> Result<(OrderFilter, PageRequest), Status> {
    let pb::ListOrdersRequest { page_size, page_token, user_id, status, created_after, created_before, order_by } =
        request;
    let sort = match order_by.as_str() {
        "" | "created_at desc" => OrderSort::Newest,
        "created_at" => OrderSort::Oldest,
        _ => return Err(field("order_by", "must be created_at or created_at desc")),
    };
    let filter = OrderFilter {
        user_id,
        status: if status == 0 { None } else { Some(super::order_messages::changed(status)?) },
        created_after: unix_ms("created_after", created_after)?,
        created_before: unix_ms("created_before", created_before)?,
        sort,
    };
    Ok((filter, page(page_size, page_token)?))
}

/// Whether all notifications of an order are asked for, and nothing else about them.
pub(super) fn is_of_order(request: &pb::ListNotificationsRequest) -> Option<i64> {
    let order_id = request.order_id?;
    let (order, page_size) = (Some(order_id), request.page_size);
    let bare = pb::ListNotificationsRequest { order_id: order, page_size, ..pb::ListNotificationsRequest::default() };
    (*request == bare).then_some(order_id)
}

/// Which notifications are listed, and which page of them.
pub(super) fn notifications(request: pb::ListNotificationsRequest) -> Result<(Filter, PageRequest), Status> {
    let pb::ListNotificationsRequest { order_id, state: standing, page_size, page_token, user_id, endpoint_id, .. } =
        request;
    let newest_first = request.newest_first;
    let pb::ListNotificationsRequest { created_before, ended_since, kind, relay, reason, cancelled, delivery, .. } =
        request;
    let asked = pb::NotificationFilter {
        state: standing,
        order_id,
        user_id,
        endpoint_id,
        created_before,
        ended_since,
        kind,
        relay,
        reason,
        cancelled,
        delivery,
    };
    Ok((Filter { newest_first, ..matching(asked)? }, page(page_size, page_token)?))
}

pub(super) fn matching(filter: pb::NotificationFilter) -> Result<Filter, Status> {
    let pb::NotificationFilter {
        state: standing,
        order_id,
        user_id,
        endpoint_id,
        created_before,
        ended_since,
        kind,
        relay,
        reason,
        cancelled,
        delivery,
    } = filter;
    Ok(Filter {
        state: state(standing)?,
        order_id,
        user_id,
        endpoint_id,
        created_before: unix_ms("created_before", created_before)?,
        ended_since: unix_ms("ended_since", ended_since)?,
        kind: unless_empty(kind),
        relay: unless_empty(relay),
        reason: unless_empty(reason),
        cancelled,
        delivery: self::delivery(delivery)?,
        newest_first: false,
    })
}

/// Which delivery is asked for.
pub(super) fn delivery(number: i32) -> Result<Option<Delivery>, Status> {
    match pb::Delivery::try_from(number) {
        Ok(pb::Delivery::Unspecified) => Ok(None),
        Ok(pb::Delivery::Delayed) => Ok(Some(Delivery::Delayed)),
        Ok(pb::Delivery::Delivered) => Ok(Some(Delivery::Delivered)),
        Ok(pb::Delivery::Bounced) => Ok(Some(Delivery::Bounced)),
        Ok(pb::Delivery::Complained) => Ok(Some(Delivery::Complained)),
        Err(_) => Err(field("delivery", "is no delivery")),
    }
}

pub(super) fn delivery_number(delivery: Option<Delivery>) -> i32 {
    let delivery = match delivery {
        None => pb::Delivery::Unspecified,
        Some(Delivery::Delayed) => pb::Delivery::Delayed,
        Some(Delivery::Delivered) => pb::Delivery::Delivered,
        Some(Delivery::Bounced) => pb::Delivery::Bounced,
        Some(Delivery::Complained) => pb::Delivery::Complained,
    };
    delivery.into()
}

const REPORT_KINDS: [(ReportKind, pb::DeliveryReportKind); 6] = [
    (ReportKind::Delayed, pb::DeliveryReportKind::Delayed),
    (ReportKind::Delivered, pb::DeliveryReportKind::Delivered),
    (ReportKind::Bounced, pb::DeliveryReportKind::Bounced),
    (ReportKind::Complained, pb::DeliveryReportKind::Complained),
    (ReportKind::Answered, pb::DeliveryReportKind::Answered),
    (ReportKind::Other, pb::DeliveryReportKind::Other),
];

/// What a report says, by its number; none if that is none.
pub(super) fn report_kind(number: i32) -> Option<ReportKind> {
    REPORT_KINDS.into_iter().find(|(_, known)| i32::from(*known) == number).map(|(kind, _)| kind)
}

pub(super) fn report_kind_number(kind: ReportKind) -> i32 {
    let known = REPORT_KINDS.into_iter().find(|(other, _)| *other == kind);
    known.map_or(pb::DeliveryReportKind::Unspecified, |(_, number)| number).into()
}

/// One act on all notifications that match.
pub(super) fn operation(request: pb::CreateNotificationOperationRequest) -> Result<NewNotificationOperation, Status> {
    let pb::CreateNotificationOperationRequest {
        act,
        filter,
        why,
        allow_late,
        matches_max,
        validate_only,
        request_id: _,
    } = request;
    let filter = matching(filter.unwrap_or_default())?;
    Ok(NewNotificationOperation { act: self::act(act)?, filter, why, allow_late, matches_max, validate_only })
}

pub(super) fn act(act: i32) -> Result<NotificationAct, Status> {
    match pb::NotificationAct::try_from(act) {
        Ok(pb::NotificationAct::Retry) => Ok(NotificationAct::Retry),
        Ok(pb::NotificationAct::Cancel) => Ok(NotificationAct::Cancel),
        Ok(pb::NotificationAct::Hold) => Ok(NotificationAct::Hold),
        _ => Err(field("act", "must be retry, cancel or hold")),
    }
}

pub(super) fn state(state: i32) -> Result<Option<State>, Status> {
    match pb::NotificationState::try_from(state) {
        Ok(pb::NotificationState::Unspecified) => Ok(None),
        Ok(pb::NotificationState::NotSent) => Ok(Some(State::NotSent)),
        Ok(pb::NotificationState::Sent) => Ok(Some(State::Sent)),
        Ok(pb::NotificationState::Failed) => Ok(Some(State::Failed)),
        Ok(pb::NotificationState::Skipped) => Ok(Some(State::Skipped)),
        Ok(pb::NotificationState::Held) => Ok(Some(State::Held)),
        Err(_) => Err(field("state", "must be a state that a notification can have")),
    }
}

/// The merge patch that a field mask asks for (AIP-134): the same one that REST takes.
pub(super) fn user_patch(user: pb::User, mask: Option<FieldMask>) -> Result<Patch, Status> {
    let pb::User {
        id: _,
        email,
        email_verified_at: _,
        pending_email: _,
        name,
        locale,
        time_zone,
        is_admin,
        role,
        attributes,
        created_at: _,
        version: _,
        updated_at: _,
    } = user;
    let fields = json!({
        "email": email, "name": name, "locale": unless_empty(locale), "time_zone": unless_empty(time_zone),
        "is_admin": is_admin, "role": unless_empty(role), "attributes": attributes,
    });
    masked(fields, mask)
}

pub(super) fn product_patch(product: pb::Product, mask: Option<FieldMask>) -> Result<Patch, Status> {
    let pb::Product {
        id: _,
        sku,
        name,
        description,
        category,
        price,
        stock,
        url,
        image,
        attributes,
        version: _,
        created_at: _,
        updated_at: _,
        archived_at: _,
    } = product;
    let price = price.map(money);
    let fields = json!({
        "sku": sku, "name": name, "description": description, "category": category, "price": price, "stock": stock,
        "url": url, "image": image, "attributes": attributes,
    });
    masked(fields, mask)
}

/// An amount of money, as REST writes it.
pub(super) fn money(pb::Money { amount, currency }: pb::Money) -> Value {
    json!({ "amount": amount, "currency": currency })
}

fn unless_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The fields that the mask names. Objects are replaced as a whole, not merged, as masks mean it.
pub(super) fn masked(fields: Value, mask: Option<FieldMask>) -> Result<Patch, Status> {
    let Value::Object(mut fields) = fields else { return Ok(Map::new()) };
    let mask = mask.ok_or_else(|| field("update_mask", "must be given"))?;
    let mut patch = Map::new();
    for path in mask.paths {
        let unknown = || field("update_mask", &format!("\"{path}\" cannot be changed"));
        let (_, value) = fields.remove_entry(&path).ok_or_else(unknown)?;
        patch.insert(path, value);
    }
    Ok(patch)
}
