//! What a migration cannot do in SQL. Runs after each, does what is left to do, and may run on many hosts at once.

use super::dialect::Column::{Int, Text};
use super::products::search_text;
use super::users::json;
use super::{Result, Store, with_pool, with_tx};
use crate::shop::text::Email;

/// How many rows one transaction takes.
const ROWS_MAX: i64 = 500;

impl Store {
    pub(super) async fn backfill(&self) -> Result<()> {
        while self.fold_products().await? > 0 {}
        self.canonical_addresses().await
    }

    /// Makes products found that nobody has folded yet; says how many.
    async fn fold_products(&self) -> Result<usize> {
        let sql = self
            .dialect()
            .sql("select id, name, sku, description from products where search_text is null order by id limit $1");
        let found: Vec<(i64, String, String, String)> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(ROWS_MAX).fetch_all(pool).await)?;
        let row = |(id, name, sku, description): &(i64, String, String, String)| serde_json::json!({ "product": id, "folded": search_text([name, sku, description]) });
        let rows = json(&found.iter().map(row).collect::<Vec<_>>());
        if !found.is_empty() {
            let mut tx = self.begin().await?;
            let columns = [Int("product"), Text("folded")];
            let sql = tx.dialect().update("products", &columns, "search_text = x.folded", "q.id = x.product");
            with_tx!(&mut tx, |c| sqlx::query(sql).bind(rows).execute(c).await.map(drop))?;
            tx.commit().await?;
        }
        Ok(found.len())
    }

    /// Writes domains outside ASCII in their ASCII form. Two accounts that turn out to be one mailbox stay as they are,
    /// and are reported at each start: which of them is to go is for people to say.
    async fn canonical_addresses(&self) -> Result<()> {
        let (bytes, characters) = self.dialect().lengths("email");
        let sql = self.dialect().sql(&format!(
            "select id, email from users where {bytes} > {characters} and deleted_at is null order by id"
        ));
        let odd: Vec<(i64, String)> = with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        for (id, email) in odd {
            let canonical = Email::kept(email.clone());
            if canonical.as_str() == email {
                continue;
            }
            match self.readdress_user(id, &email, canonical.as_str()).await {
                Err(e) if e.is_taken() => tracing::warn!(
                    user.id = id,
                    "another account has the same mailbox, spelled with an ASCII domain; this one cannot log in until one of \
                     them has another address"
                ),
                done => done?,
            }
        }
        Ok(())
    }

    async fn readdress_user(&self, id: i64, from: &str, to: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("update users set email = $1, version = version + 1 where id = $2 and email = $3");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(to).bind(id).bind(from).execute(c).await.map(drop))?;
        tx.commit().await
    }
}
