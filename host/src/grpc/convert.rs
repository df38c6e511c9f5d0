//! Between the generated messages and the host's nouns. Destructured without `..`: a new field does not compile until
//! it is mapped or left out on purpose.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use tonic::Status;

use super::filters::{delivery_number, report_kind_number};
use super::pb;
use crate::money::{Currency, Money};
use crate::notification::report::Report;
use crate::notification::{Filter, State};
use crate::service::{
    Entry, HostInfo, NotificationAct, NotificationOperation, QueuePartPause, QueuePause, QueueStatus, Record, Refusal,
    Session, SessionInfo,
};
use crate::shop::Attributes;
use crate::shop::product::{NewProduct, Product};
use crate::shop::text::WebAddress;
use crate::shop::user::{Credentials, NewUser, RefreshToken, User, english, utc};

/// A field breaks a rule.
pub(super) fn field(name: &str, why: &str) -> Status {
    super::status(crate::service::Error::invalid(&format!("/{}", name.replace('.', "/")), why))
}

/// A field of a validated type.
pub(super) fn take<T, U: TryFrom<T, Error = String>>(name: &str, value: T) -> Result<U, Status> {
    U::try_from(value).map_err(|why| field(name, &why))
}

pub(super) fn attributes(map: BTreeMap<String, String>) -> Result<Attributes, Status> {
    take("attributes", map)
}

pub(super) fn pairs(attributes: Attributes) -> BTreeMap<String, String> {
    attributes.into_inner()
}

pub(super) fn at(unix_ms: i64) -> Timestamp {
    let nanos = i32::try_from(unix_ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: unix_ms.div_euclid(1_000), nanos }
}

impl From<Money> for pb::Money {
    fn from(money: Money) -> Self {
        let Money { amount, currency } = money;
        Self { amount, currency: currency.into() }
    }
}

pub(super) fn money(name: &str, money: Option<pb::Money>) -> Result<Money, Status> {
    let pb::Money { amount, currency } = money.ok_or_else(|| field(name, "must be given"))?;
    Ok(Money { amount, currency: take::<_, Currency>(&format!("{name}.currency"), currency)? })
}

impl TryFrom<pb::CreateUserRequest> for NewUser {
    type Error = Status;

    fn try_from(request: pb::CreateUserRequest) -> Result<Self, Status> {
        let pb::CreateUserRequest { email, name, password, locale, time_zone, attributes } = request;
        Ok(Self {
            email: take("email", email)?,
            name: take("name", name)?,
            password: take("password", password)?,
            locale: if locale.is_empty() { english() } else { take("locale", locale)? },
            time_zone: if time_zone.is_empty() { utc() } else { take("time_zone", time_zone)? },
            attributes: self::attributes(attributes)?,
        })
    }
}

impl TryFrom<pb::CreateSessionRequest> for Credentials {
    type Error = Status;

    fn try_from(request: pb::CreateSessionRequest) -> Result<Self, Status> {
        let pb::CreateSessionRequest { email, password } = request;
        Ok(Self { email: take("email", email)?, password: take("password", password)? })
    }
}

impl From<Session> for pb::Session {
    fn from(session: Session) -> Self {
        let Session { id, user_id, access_token, expires_at, refresh_token, refresh_expires_at } = session;
        Self {
            id,
            user_id,
            access_token,
            expires_at: Some(at(expires_at)),
            refresh_token,
            refresh_expires_at: Some(at(refresh_expires_at)),
        }
    }
}

impl From<SessionInfo> for pb::SessionInfo {
    fn from(session: SessionInfo) -> Self {
        let SessionInfo { id, created_at, renewed_at, expires_at, is_current } = session;
        Self {
            id,
            created_at: Some(at(created_at)),
            renewed_at: renewed_at.map(at),
            expires_at: Some(at(expires_at)),
            is_current,
        }
    }
}

impl TryFrom<pb::RenewSessionRequest> for RefreshToken {
    type Error = Status;

    fn try_from(request: pb::RenewSessionRequest) -> Result<Self, Status> {
        let pb::RenewSessionRequest { refresh_token } = request;
        take("refresh_token", refresh_token)
    }
}

impl From<User> for pb::User {
    fn from(user: User) -> Self {
        let User {
            id,
            email,
            email_verified_at,
            pending_email,
            password_no: _,
            name,
            locale,
            time_zone,
            is_admin,
            role,
            attributes,
            version,
            created_at,
            updated_at,
        } = user;
        Self {
            id,
            email: email.into(),
            email_verified_at: email_verified_at.map(at),
            pending_email: pending_email.map_or_else(String::new, Into::into),
            name: name.into(),
            locale: locale.into(),
            time_zone: time_zone.into(),
            is_admin,
            role: role.map_or_else(String::new, |r| r.as_str().to_owned()),
            attributes: pairs(attributes),
            created_at: Some(at(created_at)),
            version,
            updated_at: Some(at(updated_at)),
        }
    }
}

impl TryFrom<pb::CreateProductRequest> for NewProduct {
    type Error = Status;

    fn try_from(request: pb::CreateProductRequest) -> Result<Self, Status> {
        let pb::CreateProductRequest {
            sku,
            name,
            description,
            category,
            price,
            stock,
            url,
            image,
            attributes,
            request_id: _,
        } = request;
        Ok(Self {
            sku: take("sku", sku)?,
            name: take("name", name)?,
            description: take("description", description)?,
            category: take("category", category)?,
            price: take("price", money("price", price)?)?,
            stock: take("stock", stock)?,
            url: web("url", url)?,
            image: web("image", image)?,
            attributes: self::attributes(attributes)?,
        })
    }
}

pub(super) fn web(name: &str, address: Option<String>) -> Result<Option<WebAddress>, Status> {
    address.map(|a| take(name, a)).transpose()
}

impl From<Product> for pb::Product {
    fn from(product: Product) -> Self {
        let Product {
            id,
            sku,
            name,
            description,
            category,
            price,
            stock,
            url,
            image,
            attributes,
            version,
            archived_at,
            created_at,
            updated_at,
        } = product;
        Self {
            id,
            sku: sku.into(),
            name: name.into(),
            description: description.into(),
            category: category.into(),
            price: Some(price.into()),
            stock,
            url: url.map(Into::into),
            image: image.map(Into::into),
            attributes: pairs(attributes),
            version,
            created_at: Some(at(created_at)),
            updated_at: Some(at(updated_at)),
            archived_at: archived_at.map(at),
        }
    }
}

impl From<State> for pb::NotificationState {
    fn from(state: State) -> Self {
        match state {
            State::NotSent => Self::NotSent,
            State::Sent => Self::Sent,
            State::Failed => Self::Failed,
            State::Skipped => Self::Skipped,
            State::Held => Self::Held,
        }
    }
}

impl From<NotificationAct> for pb::NotificationAct {
    fn from(act: NotificationAct) -> Self {
        match act {
            NotificationAct::Retry => Self::Retry,
            NotificationAct::Cancel => Self::Cancel,
            NotificationAct::Hold => Self::Hold,
        }
    }
}

impl From<NotificationOperation> for pb::NotificationOperation {
    fn from(operation: NotificationOperation) -> Self {
        let NotificationOperation {
            id,
            act,
            filter,
            why,
            allow_late,
            state,
            matched,
            done,
            refused,
            refusals,
            detail,
            created_at,
            created_by,
            updated_at,
        } = operation;
        let refusal = |Refusal { reason, count }| pb::NotificationRefusal { reason, count };
        Self {
            id,
            act: pb::NotificationAct::from(act).into(),
            filter: Some(filter.into()),
            why,
            allow_late,
            state,
            matched,
            done,
            refused,
            refusals: refusals.into_iter().map(refusal).collect(),
            detail,
            created_at: Some(at(created_at)),
            created_by,
            updated_at: Some(at(updated_at)),
        }
    }
}

impl From<Filter> for pb::NotificationFilter {
    fn from(filter: Filter) -> Self {
        let Filter {
            state,
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
            newest_first: _,
        } = filter;
        Self {
            state: state.map_or(pb::NotificationState::Unspecified, Into::into).into(),
            order_id,
            user_id,
            endpoint_id,
            created_before: created_before.map(at),
            ended_since: ended_since.map(at),
            kind: kind.unwrap_or_default(),
            relay: relay.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            cancelled,
            delivery: delivery_number(delivery),
        }
    }
}

impl From<Record> for pb::Notification {
    fn from(record: Record) -> Self {
        let Record {
            id,
            order_id,
            order_version,
            user_id,
            endpoint_id,
            kind,
            message_id,
            state,
            attempts,
            reason,
            created_at,
            completed_at,
            delivery,
            reports,
            journal,
        } = record;
        Self {
            id,
            order_id,
            order_version,
            user_id,
            endpoint_id,
            kind,
            message_id,
            state: pb::NotificationState::from(state).into(),
            attempts,
            reason,
            created_at: Some(at(created_at)),
            completed_at: completed_at.map(at),
            delivery: delivery_number(delivery),
            reports: reports.into_iter().map(Into::into).collect(),
            journal: journal.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Report> for pb::DeliveryReport {
    fn from(report: Report) -> Self {
        let Report { kind, enhanced, words, reporter, received_at, is_past } = report;
        let kind = report_kind_number(kind);
        Self { kind, enhanced, words, reporter, received_at: Some(at(received_at)), is_past }
    }
}

impl From<Entry> for pb::JournalEntry {
    fn from(entry: Entry) -> Self {
        let Entry {
            state_id: _,
            epoch,
            kind,
            phase,
            class,
            code,
            enhanced,
            reply,
            relay,
            verdict,
            reason,
            delay_ms,
            renderer_digest,
            renderer_revision,
            policy_digest,
            policy_revision,
            seed,
            ab_variant,
            situation: _,
            message_hash,
            repeats,
            started_at,
            ended_at,
        } = entry;
        Self {
            epoch,
            kind,
            phase,
            class,
            code,
            enhanced,
            reply,
            relay,
            verdict,
            reason,
            delay_ms,
            renderer_digest,
            renderer_revision,
            policy_digest,
            policy_revision,
            seed,
            ab_variant,
            message_hash,
            repeats,
            started_at: Some(at(started_at)),
            ended_at: ended_at.map(at),
        }
    }
}

impl From<HostInfo> for pb::Host {
    fn from(info: HostInfo) -> Self {
        let HostInfo { host, version, roles, started_at, seen_at, sent, failed, is_this } = info;
        let (started_at, seen_at) = (Some(at(started_at)), Some(at(seen_at)));
        Self { host, version, roles, started_at, seen_at, sent, failed, is_this }
    }
}

impl From<QueueStatus> for pb::Queue {
    fn from(status: QueueStatus) -> Self {
        let QueueStatus { queued, under_way, first_due_in_ms, paused, paused_parts } = status;
        let paused_parts = paused_parts.into_iter().map(Into::into).collect();
        Self { queued, under_way, first_due_in_ms, paused: paused.map(Into::into), paused_parts }
    }
}

impl From<QueuePartPause> for pb::QueuePartPause {
    fn from(pause: QueuePartPause) -> Self {
        let QueuePartPause { relay, kind, since, who, why } = pause;
        Self { relay, kind, since: Some(at(since)), who, why }
    }
}

impl From<QueuePause> for pb::QueuePause {
    fn from(pause: QueuePause) -> Self {
        let QueuePause { since, who, why } = pause;
        Self { since: Some(at(since)), who, why }
    }
}
