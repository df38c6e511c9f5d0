use std::sync::Arc;

use super::patch::{Patch, merged};
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::group::Group;
use crate::shop::product::{NewProduct, Product, ProductFilter, ProductSort};
use crate::store::{self, products};

/// Reads at one time, and the most products that one read carries.
const READS_MAX: (usize, usize) = (2, 100);

/// Who waits to see a product: those who come while others are read are read together.
pub struct Window(Group<i64, Option<Product>>);

impl Default for Window {
    fn default() -> Self {
        Self(Group::new(READS_MAX.0, READS_MAX.1))
    }
}

impl Service {
    /// Adds a product. For admins.
    pub async fn create_product(&self, who: Principal, new: NewProduct, once: Option<&Once>) -> Result<Product, Error> {
        who.must_be_admin()?;
        let create = async || {
            let mut change = self.begin(who, "create-product", once).await?;
            let product = products::insert(&mut change.tx, &new, self.clock.now_ms()).await;
            change.commit(product.map_err(|e| taken(e, &new))?).await
        };
        self.once(who, "create-product", once, create).await
    }

    /// One product. Anybody may look; only admins see archived ones.
    pub async fn product(&self, who: Option<Principal>, id: i64) -> Result<Product, Error> {
        let sees_all = who.is_some_and(|who| who.is_admin);
        let (store, metrics, clock) = (self.store.clone(), self.metrics.clone(), self.clock.clone());
        let look = move |ids: Arc<[i64]>| {
            let (store, metrics, clock) = (store.clone(), metrics.clone(), clock.clone());
            async move { metrics.round("read-products", |_| ids.len(), &clock, store.products_by_id(&ids)).await }
        };
        let product = self.window.0.ask(id, look).await?.filter(|p| sees_all || p.archived_at.is_none());
        product.ok_or(Error::NotFound("product"))
    }

    /// A page of products. Anybody may look; only admins see archived ones.
    pub async fn products(
        &self,
        who: Option<Principal>,
        filter: &ProductFilter,
        page: &PageRequest,
    ) -> Result<Page<Product>, Error> {
        let sees_all = who.is_some_and(|who| who.is_admin) && filter.archived;
        let limit = page.limit()?;
        let after = page.after_key()?;
        // A cursor is its client's to change.
        let fits = after.as_ref().is_none_or(|(value, _)| match (filter.sort, value) {
            (ProductSort::Oldest | ProductSort::Newest, value) => value.is_none(),
            (ProductSort::Cheapest | ProductSort::Dearest, Some(amount)) => amount.parse::<i64>().is_ok(),
            (ProductSort::Name, Some(name)) => !name.contains('\0'),
            (_, None) => false,
        });
        if !fits {
            return Err(Error::invalid("/cursor", "must be the next cursor of a page in the same order"));
        }
        let items = self.store.products(filter, sees_all, after.as_ref(), limit + 1).await?;
        Ok(Page::cut_by(items, limit, |p| match filter.sort {
            ProductSort::Oldest | ProductSort::Newest => (None, p.id),
            ProductSort::Cheapest | ProductSort::Dearest => (Some(p.price.amount.to_string()), p.id),
            ProductSort::Name => (Some(p.name.as_str().to_owned()), p.id),
        }))
    }

    /// Changes a product: a merge patch of the fields of [`NewProduct`]. For admins. Orders keep what they were placed
    /// with.
    pub async fn update_product(
        &self,
        who: Principal,
        id: i64,
        patch: &Patch,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Product, Error> {
        who.must_be_admin()?;
        let update = async || {
            let mut change = self.begin(who, "update-product", once).await?;
            let product = products::lock_one(&mut change.tx, id).await?.ok_or(Error::NotFound("product"))?;
            super::must_match(expected, product.version)?;
            let new = merged(&NewProduct::from(product.clone()), patch)?;
            let product = products::write(&mut change.tx, product, new.clone(), self.clock.now_ms()).await;
            change.commit(product.map_err(|e| taken(e, &new))?).await
        };
        let product = self.once(who, "update-product", once, update).await?;
        self.restocked.notify_one();
        Ok(product)
    }

    /// Takes a product out of the shop. For admins. Orders that hold it keep it.
    pub async fn archive_product(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<(), Error> {
        who.must_be_admin()?;
        let archive = async || {
            let mut tx = self.store.begin().await?;
            let product = products::lock_one(&mut tx, id).await?.ok_or(Error::NotFound("product"))?;
            super::must_match(expected, product.version)?;
            if product.archived_at.is_none() {
                products::archive(&mut tx, id, self.clock.now_ms()).await?;
            }
            Ok(tx.commit().await?)
        };
        self.once(who, "archive-product", None, archive).await
    }
}

fn taken(e: store::Error, new: &NewProduct) -> Error {
    if e.is_taken() { Error::Taken(format!("the sku \"{}\" is taken", new.sku.as_str())) } else { e.into() }
}
