//! Users and their sessions.

use super::tx::insert_id;
use super::{Error, Result, Store, Tx, with_pool, with_tx};
use crate::notification::Customer;
use crate::shop::user::{NewUser, User};

const COLUMNS: &str = "id, email, name, locale, time_zone, attributes, admin_since, created_at";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    email: String,
    name: String,
    locale: String,
    time_zone: String,
    attributes: String,
    admin_since: Option<i64>,
    created_at: i64,
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, email, name, locale, time_zone, attributes, admin_since, created_at } = row;
        let corrupt = |why: String| Error::Corrupt { what: "user", id, why };
        Ok(Self {
            id,
            email: email.try_into().map_err(corrupt)?,
            name: name.try_into().map_err(corrupt)?,
            locale: locale.try_into().map_err(corrupt)?,
            time_zone: time_zone.try_into().map_err(corrupt)?,
            is_admin: admin_since.is_some(),
            attributes: serde_json::from_str(&attributes).map_err(|e| corrupt(e.to_string()))?,
            created_at,
        })
    }
}

impl From<User> for Customer {
    fn from(user: User) -> Self {
        let User { id, email, name, locale, time_zone, attributes, is_admin: _, created_at: _ } = user;
        Self { id, name, email, locale, time_zone, attributes }
    }
}

impl Store {
    /// Adds a user; [`Error::is_taken`] when the address is.
    pub(crate) async fn insert_user(&self, new: &NewUser, hash: &str, is_admin: bool) -> Result<User> {
        let now = self.clock.now_ms();
        let NewUser { email, name, password: _, locale, time_zone, attributes } = new.clone();
        let mut tx = self.begin().await?;
        let id = insert_id!(
            &mut tx,
            "insert into users (email, password_hash, name, locale, time_zone, attributes, admin_since, version, \
             created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)",
            email.as_str(),
            hash,
            name.as_str(),
            locale.as_str(),
            time_zone.as_str(),
            json(&attributes),
            is_admin.then_some(now),
            now,
            now,
        );
        tx.commit().await?;
        Ok(User { id, email, name, locale, time_zone, is_admin, attributes, created_at: now })
    }

    /// The user and the password hash.
    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<(User, String)>> {
        let sql = format!("select {COLUMNS} from users where email = $1");
        let row: Option<Row> =
            with_pool!(self, |pool| sqlx::query_as(self.dialect().sql(&sql)).bind(email).fetch_optional(pool).await)?;
        let Some(row) = row else { return Ok(None) };
        let sql = self.dialect().sql("select password_hash from users where id = $1");
        let hash = with_pool!(self, |pool| sqlx::query_scalar(sql).bind(row.id).fetch_one(pool).await)?;
        Ok(Some((row.try_into()?, hash)))
    }

    /// Records a log-in; the id goes into its tokens.
    pub(crate) async fn insert_session(&self, user_id: i64, expires_at: i64) -> Result<i64> {
        let now = self.clock.now_ms();
        let mut tx = self.begin().await?;
        let id = insert_id!(
            &mut tx,
            "insert into sessions (user_id, created_at, expires_at) values ($1, $2, $3)",
            user_id,
            now,
            expires_at,
        );
        tx.commit().await?;
        Ok(id)
    }
}

/// The user, as the transaction sees it.
pub(super) async fn user(tx: &mut Tx, id: i64) -> Result<Option<User>> {
    let sql = tx.dialect().sql(&format!("select {COLUMNS} from users where id = $1"));
    let row: Option<Row> = with_tx!(tx, |connection| sqlx::query_as(sql).bind(id).fetch_optional(connection).await)?;
    row.map(User::try_from).transpose()
}

/// A value of ours as JSON text.
///
/// # Panics
/// Never: our values have text keys and no failing parts.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own values serialise")
}
