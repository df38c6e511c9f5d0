//! What a request may ask and say; see [`crate::fuzz`].

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;

use super::discounts::DiscountQuery;
use super::extract::parse;
use super::notifications::NotificationQuery;
use super::orders::OrderQuery;
use super::plugins::RevisionQuery;
use super::products::ProductQuery;
use super::suppressions::SuppressionQuery;
use crate::endpoint::NewEndpoint;
use crate::fuzz::texts;
use crate::service::{NewNotificationOperation, NewPluginRevision, PageRequest, Patch};
use crate::shop::discount::NewDiscount;
use crate::shop::order::{NewInvoice, NewNote, NewOrder, NewRefund, PaymentReport};
use crate::shop::product::NewProduct;
use crate::shop::user::NewUser;

/// Queries, by all who read one.
pub(crate) fn queries(bytes: &[u8]) {
    for text in texts(bytes) {
        let Ok(uri) = format!("/?{text}").parse::<Uri>() else { continue };
        asked::<DiscountQuery>(&uri);
        asked::<NotificationQuery>(&uri);
        asked::<OrderQuery>(&uri);
        asked::<ProductQuery>(&uri);
        asked::<RevisionQuery>(&uri);
        asked::<SuppressionQuery>(&uri);
        let page = PageRequest { limit: None, cursor: Some(text.to_owned()) };
        let _ = page.after_key();
    }
}

fn asked<T: DeserializeOwned>(uri: &Uri) {
    let _ = Query::<T>::try_from_uri(uri);
}

/// Bodies, by all who read one that is not simple; the first byte says which.
pub(crate) fn bodies(bytes: &[u8]) {
    let Some((which, body)) = bytes.split_first() else { return };
    let readers = [
        said::<NewOrder>,
        said::<NewProduct>,
        said::<NewUser>,
        said::<NewRefund>,
        said::<NewInvoice>,
        said::<NewNote>,
        said::<PaymentReport>,
        said::<NewDiscount>,
        said::<NewEndpoint>,
        said::<NewNotificationOperation>,
        said::<NewPluginRevision>,
        said::<Patch>,
    ];
    readers[usize::from(*which) % readers.len()](body);
}

fn said<T: DeserializeOwned>(body: &[u8]) {
    if let Err(problem) = parse::<T>(body) {
        assert!(problem.status().is_client_error(), "{problem:?}");
    }
}
