use super::patch::{Patch, merged};
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::shop::discount::{Discount, NewDiscount};
use crate::shop::text::DiscountCode;
use crate::store::{self, discounts};

impl Service {
    /// Adds a discount. For admins.
    pub async fn create_discount(
        &self,
        who: Principal,
        new: NewDiscount,
        once: Option<&Once>,
    ) -> Result<Discount, Error> {
        who.must_be_admin()?;
        must_fit(&new)?;
        let create = async || {
            let mut change = self.begin(who, "create-discount", once).await?;
            let discount = discounts::insert(&mut change.tx, &new, self.clock.now_ms()).await;
            change.commit(discount.map_err(|e| taken(e, &new))?).await
        };
        self.once(who, "create-discount", once, create).await
    }

    /// One discount. For admins.
    pub async fn discount(&self, who: Principal, id: i64) -> Result<Discount, Error> {
        who.must_be_admin()?;
        self.store.discount(id).await?.ok_or(Error::NotFound("discount"))
    }

    /// A page of discounts, the newest first. For admins.
    pub async fn discounts(
        &self,
        who: Principal,
        code: Option<&DiscountCode>,
        archived_too: bool,
        page: &PageRequest,
    ) -> Result<Page<Discount>, Error> {
        who.must_be_admin()?;
        let limit = page.limit()?;
        let items = self.store.discounts(code, archived_too, page.after_id()?, limit + 1).await?;
        Ok(Page::cut(items, limit, |discount| discount.id))
    }

    /// Changes a discount: a merge patch of the fields of [`NewDiscount`]. For admins. Orders keep what they were given.
    pub async fn update_discount(
        &self,
        who: Principal,
        id: i64,
        patch: &Patch,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Discount, Error> {
        who.must_be_admin()?;
        let update = async || {
            let mut change = self.begin(who, "update-discount", once).await?;
            let discount = discounts::lock(&mut change.tx, id).await?.ok_or(Error::NotFound("discount"))?;
            super::must_match(expected, discount.version)?;
            let new = merged(&NewDiscount::from(discount.clone()), patch)?;
            must_fit(&new)?;
            let discount = discounts::write(&mut change.tx, &discount, &new, self.clock.now_ms()).await;
            change.commit(discount.map_err(|e| taken(e, &new))?).await
        };
        self.once(who, "update-discount", once, update).await
    }

    /// Takes a discount out of the shop. For admins. Orders keep what they were given.
    pub async fn archive_discount(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<(), Error> {
        who.must_be_admin()?;
        let archive = async || {
            let mut tx = self.store.begin().await?;
            let discount = discounts::lock(&mut tx, id).await?.ok_or(Error::NotFound("discount"))?;
            super::must_match(expected, discount.version)?;
            if discount.archived_at.is_none() {
                discounts::archive(&mut tx, id, self.clock.now_ms()).await?;
            }
            Ok(tx.commit().await?)
        };
        self.once(who, "archive-discount", None, archive).await
    }
}

fn must_fit(new: &NewDiscount) -> Result<(), Error> {
    if new.product_ids.len() > NewDiscount::PRODUCTS_MAX {
        let detail = format!("must hold at most {} products", NewDiscount::PRODUCTS_MAX);
        return Err(Error::invalid("/product_ids", &detail));
    }
    new.check().map_err(|why| Error::Conflict(why.to_string()))
}

fn taken(e: store::Error, new: &NewDiscount) -> Error {
    if e.is_taken() { Error::Taken(format!("the code \"{}\" is taken", new.code.as_str())) } else { e.into() }
}
