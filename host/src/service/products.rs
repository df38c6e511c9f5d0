use super::{Error, Page, PageRequest, Principal, Service};
use crate::shop::product::{NewProduct, Product};

impl Service {
    /// Adds a product. For admins.
    pub async fn create_product(&self, who: Principal, new: NewProduct) -> Result<Product, Error> {
        who.must_be_admin()?;
        match self.store.insert_product(&new).await {
            Err(e) if e.is_taken() => Err(Error::Taken(format!("the sku \"{}\" is taken", new.sku.as_str()))),
            done => Ok(done?),
        }
    }

    /// One product. Anybody may look.
    pub async fn product(&self, id: i64) -> Result<Product, Error> {
        self.store.product(id).await?.ok_or(Error::NotFound("product"))
    }

    /// A page of products, oldest first. Anybody may look.
    pub async fn products(&self, page: &PageRequest) -> Result<Page<Product>, Error> {
        let limit = page.limit()?;
        let items = self.store.products_after(page.after(0)?, limit + 1).await?;
        Ok(Page::cut(items, limit, |p| p.id))
    }
}
