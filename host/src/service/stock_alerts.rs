//! Tells customers who asked for it when a product can be had again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::once::tried;
use super::{Error, Principal, Service, woken};
use crate::notification::subject::{self, Subject};
use crate::notification::{Category, Lane, Payload};
use crate::shop::product::Product;
use crate::shop::user::User;
use crate::store::{accounts, products, stock_alerts, suppressions, users};
use crate::suppression::{Cause, Scope};

/// How often a host looks for products whose alerts another host began to tell.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Service {
    /// Has the caller told once a product can be had again. Who asks anew wants such mails again.
    pub async fn alert_of_stock(&self, who: Principal, product_id: i64) -> Result<(), Error> {
        tried(|| self.try_alert(who.user_id, product_id)).await
    }

    async fn try_alert(&self, user_id: i64, product_id: i64) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        // Locked: it must not come back unseen meanwhile.
        let product = products::lock_one(&mut tx, product_id).await?.filter(|product| product.archived_at.is_none());
        let product = product.ok_or(Error::NotFound("product"))?;
        let user = users::users(&mut tx, [user_id]).await?.pop().ok_or(Error::Unauthenticated)?;
        if self.accounts.verify_emails && user.email_verified_at.is_none() {
            return Err(Error::Conflict("the e-mail address is not verified yet".to_owned()));
        }
        if product.stock > 0 {
            return Err(Error::Conflict(format!("\"{}\" is in stock", product.sku.as_str())));
        }
        stock_alerts::add(&mut tx, product_id, user_id, self.clock.now_ms()).await?;
        let keys = self.address_keys.of(&user.email);
        suppressions::lift(&mut tx, &keys, Scope::Requested, Cause::Unsubscribed).await?;
        Ok(tx.commit().await?)
    }

    /// Has the caller not told of a product any more.
    pub async fn forget_alert(&self, who: Principal, product_id: i64) -> Result<(), Error> {
        tried(async || {
            let mut tx = self.store.begin().await?;
            stock_alerts::remove(&mut tx, product_id, who.user_id).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Tells of products that can be had again until the host stops.
    pub async fn watch_stock(self: Arc<Self>, stop: CancellationToken) {
        loop {
            if let Err(e) = self.tell_of_stock(&stop).await {
                tracing::warn!(error = %crate::cause::chain(&e), "who waits for a product could not be told yet");
            }
            if !woken(&self.restocked, LOOK_EVERY, &stop).await {
                return;
            }
        }
    }

    /// Tells of the products that can be had again, batch by batch.
    pub async fn tell_of_stock(&self, stop: &CancellationToken) -> Result<(), Error> {
        while let Some(product_id) = self.store.restocked().await? {
            let told = tried(|| self.try_tell_of_stock(product_id)).await?;
            if !told || stop.is_cancelled() {
                break;
            }
            self.enqueued();
        }
        Ok(())
    }

    /// One batch; false when another host is at it.
    async fn try_tell_of_stock(&self, product_id: i64) -> Result<bool, Error> {
        let mut tx = self.store.begin().await?;
        // Not locked: orders of it must not wait for its mails.
        let product = products::on_sale(&mut tx, [product_id]).await?.pop();
        let Some(product) = product.filter(|product| product.stock > 0) else {
            // Sold out again, before everybody was told: they wait on.
            stock_alerts::done(&mut tx, product_id).await?;
            tx.commit().await?;
            return Ok(true);
        };
        let Some(waiting) = stock_alerts::take(&mut tx, product_id).await? else { return Ok(false) };
        let customers = users::readable(&mut tx, waiting).await?;
        let mails = customers.into_iter().map(|user| (Lane::Beside(user.id), self.back_in_stock(user, &product)));
        let mails: Vec<_> = mails.map(|(lane, payload)| (lane, self.message_id(), payload)).collect();
        accounts::tell(&mut tx, mails, self.store.offset_ms()).await?;
        tx.commit().await?;
        Ok(true)
    }

    fn back_in_stock(&self, user: User, product: &Product) -> Payload {
        let (unsubscribe_url, preferences_url) = self.mail_links(&user, Scope::Requested);
        let Product { id, sku, name, price, url, image, attributes, .. } = product.clone();
        let subject = subject::Product { id, sku, name, price, url, image_url: image, attributes };
        let subject = Subject::Product(Box::new(subject));
        let now = self.clock.now_ms();
        Payload {
            category: Category::Requested,
            unsubscribe_url,
            preferences_url,
            ..Payload::of("product.back-in-stock", now, user.into(), &self.shop, subject)
        }
    }
}
