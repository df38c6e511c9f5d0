//! Users and their sessions.

use super::dialect::Column::Int;
use super::tx::insert_id;
use super::{Dialect, Error, Result, Store, Tx, once, orders, stock_alerts, with_pool, with_tx};
use crate::notification::Customer;
use crate::shop::text::Email;
use crate::shop::user::{NewUser, Role, User};

const COLUMNS: &str = "id, email, email_verified_at, pending_email, password_no, name, locale, time_zone, attributes, admin_since, role, \
     version, created_at, updated_at";

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    email: String,
    email_verified_at: Option<i64>,
    pending_email: Option<String>,
    password_no: i64,
    name: String,
    locale: String,
    time_zone: String,
    attributes: String,
    admin_since: Option<i64>,
    role: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

/// A session, as the store keeps it.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub(crate) struct SessionRow {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) created_at: i64,
    pub(crate) renewed_at: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
    /// Of the newest refresh token.
    pub(crate) token_hash: Option<String>,
    /// Of the one that was renewed to it.
    pub(crate) spent_hash: Option<String>,
}

const SESSION_COLUMNS: &str = "id, user_id, created_at, renewed_at, expires_at, revoked_at, token_hash, spent_hash";

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, email, email_verified_at, pending_email, password_no, name, locale, time_zone, .. } = row;
        let Row { attributes, admin_since, role, version, created_at, updated_at, .. } = row;
        let corrupt = |why: String| Error::Corrupt { what: "user", id, why };
        Ok(Self {
            id,
            email: Email::kept(email),
            email_verified_at,
            pending_email: pending_email.map(Email::kept),
            password_no,
            name: name.try_into().map_err(corrupt)?,
            locale: locale.try_into().map_err(corrupt)?,
            time_zone: time_zone.try_into().map_err(corrupt)?,
            is_admin: admin_since.is_some(),
            role: role.map(Role::try_from).transpose().map_err(corrupt)?,
            attributes: serde_json::from_str(&attributes).map_err(|e| corrupt(e.to_string()))?,
            version,
            created_at,
            updated_at,
        })
    }
}

impl From<User> for Customer {
    fn from(user: User) -> Self {
        let User {
            id,
            email,
            email_verified_at: _,
            pending_email: _,
            password_no: _,
            name,
            locale,
            time_zone,
            attributes,
            is_admin: _,
            role: _,
            version: _,
            created_at: _,
            updated_at: _,
        } = user;
        Self { id, name, email, locale, time_zone, attributes }
    }
}

/// Adds a user; [`Error::is_taken`] when the address is.
pub(crate) async fn insert(tx: &mut Tx, new: &NewUser, hash: &str, is_admin: bool, now: i64) -> Result<User> {
    let NewUser { email, name, password: _, locale, time_zone, attributes } = new.clone();
    let id = insert_id!(
        tx,
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
    Ok(User {
        id,
        email,
        email_verified_at: None,
        pending_email: None,
        password_no: 0,
        name,
        locale,
        time_zone,
        is_admin,
        role: None,
        attributes,
        version: 1,
        created_at: now,
        updated_at: now,
    })
}

impl Store {
    /// The user and the password hash.
    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<(User, String)>> {
        let sql = format!("select {COLUMNS} from users where email = $1 and deleted_at is null");
        let row: Option<Row> =
            with_pool!(self, |pool| sqlx::query_as(self.dialect().sql(&sql)).bind(email).fetch_optional(pool).await)?;
        let Some(row) = row else { return Ok(None) };
        let hash = self.password_hash(row.id).await?;
        hash.map(|hash| Ok((row.try_into()?, hash))).transpose()
    }

    /// What the store keeps of a password.
    pub(crate) async fn password_hash(&self, id: i64) -> Result<Option<String>> {
        let sql = self.dialect().sql("select password_hash from users where id = $1 and deleted_at is null");
        Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).bind(id).fetch_optional(pool).await)?)
    }

    /// One user.
    pub(crate) async fn user(&self, id: i64) -> Result<Option<User>> {
        let text = format!("select {COLUMNS} from users where id = $1 and deleted_at is null");
        let sql = self.dialect().sql(&text);
        let row: Option<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
        row.map(User::try_from).transpose()
    }

    /// Users with an id above `after`, by id.
    pub(crate) async fn users_after(&self, after: i64, limit: i64) -> Result<Vec<User>> {
        let sql = self
            .dialect()
            .sql(&format!("select {COLUMNS} from users where id > $1 and deleted_at is null order by id limit $2"));
        let rows: Vec<Row> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(after).bind(limit).fetch_all(pool).await)?;
        rows.into_iter().map(User::try_from).collect()
    }

    /// One session, alive or not.
    pub(crate) async fn session(&self, id: i64) -> Result<Option<SessionRow>> {
        let sql = self.dialect().sql(&format!("select {SESSION_COLUMNS} from sessions where id = $1"));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?)
    }

    /// A user's sessions that are alive, newest first.
    pub(crate) async fn sessions_of(&self, user_id: i64, limit: i64) -> Result<Vec<SessionRow>> {
        let sql = self.dialect().sql(&format!(
            "select {SESSION_COLUMNS} from sessions where user_id = $1 and revoked_at is null and expires_at > $2 \
             order by id desc limit $3"
        ));
        let now = self.clock.now_ms();
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(user_id).bind(now).bind(limit).fetch_all(pool).await)?)
    }

    /// Gives a session its first refresh token.
    pub(crate) async fn begin_session(&self, id: i64, hash: &str, expires_at: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = "update sessions set token_hash = $1, expires_at = $2 where id = $3 and token_hash is null";
        let sql = tx.dialect().sql(sql);
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(hash).bind(expires_at).bind(id).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Replaces a live session's refresh token, if `spent` is its newest.
    pub(crate) async fn renew_session(
        &self,
        id: i64,
        spent: &str,
        hash: &str,
        (now, expires_at): (i64, i64),
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql(
            "update sessions set renewed_at = $1, spent_hash = $2, token_hash = $3, expires_at = $4 where id = $5 \
             and revoked_at is null and token_hash = $6",
        );
        let renewed = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(now)
            .bind(spent)
            .bind(hash)
            .bind(expires_at)
            .bind(id)
            .bind(spent)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(renewed == 1)
    }

    /// Ends a user's session; false when there is no such live one.
    pub(crate) async fn revoke_session(&self, user_id: i64, id: i64) -> Result<bool> {
        let now = self.clock.now_ms();
        let mut tx = self.begin().await?;
        let sql = "update sessions set revoked_at = $1 where id = $2 and user_id = $3 and revoked_at is null";
        let sql = tx.dialect().sql(sql);
        let ended = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(now)
            .bind(id)
            .bind(user_id)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(ended == 1)
    }
}

/// A user and the password hash, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<(User, String)>> {
    let lock = if tx.dialect() == Dialect::Sqlite { "" } else { "for update" };
    let text = format!("select {COLUMNS} from users where id = $1 and deleted_at is null {lock}");
    let sql = tx.dialect().sql(&text);
    let row: Option<Row> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    let Some(row) = row else { return Ok(None) };
    let sql = tx.dialect().sql("select password_hash from users where id = $1");
    let hash = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_one(c).await)?;
    Ok(Some((row.try_into()?, hash)))
}

/// Records a log-in of a locked user, at a time and until another; the id goes into its tokens. A change of the password
/// waits for the lock, and then finds this session among those that it ends.
pub(crate) async fn insert_session(
    tx: &mut Tx,
    user_id: i64,
    network: Option<&str>,
    (now, expires_at): (i64, i64),
) -> Result<i64> {
    Ok(insert_id!(
        tx,
        "insert into sessions (user_id, network, created_at, expires_at) values ($1, $2, $3, $4)",
        user_id,
        network,
        now,
        expires_at,
    ))
}

/// Whether a user was seen in some network before, but not in this one.
pub(crate) async fn is_elsewhere(tx: &mut Tx, user_id: i64, network: &str) -> Result<bool> {
    let sql = tx.dialect().sql(
        "select u.id from users u where u.id = $1 \
         and exists (select 1 from sessions s where s.user_id = u.id and s.network is not null) \
         and not exists (select 1 from sessions s where s.user_id = u.id and s.network = $2)",
    );
    let elsewhere: Option<i64> =
        with_tx!(tx, |c| sqlx::query_scalar(sql).bind(user_id).bind(network).fetch_optional(c).await)?;
    Ok(elsewhere.is_some())
}

/// Whose address it is.
pub(crate) async fn id_of(tx: &mut Tx, email: &str) -> Result<Option<i64>> {
    let sql = tx.dialect().sql("select id from users where email = $1 and deleted_at is null");
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(email).fetch_optional(c).await)?)
}

/// Writes a locked user; [`Error::is_taken`] when the address is.
pub(crate) async fn write(tx: &mut Tx, user: &User, hash: Option<&str>) -> Result<()> {
    let User { id, email, email_verified_at, pending_email, password_no, name, locale, time_zone, .. } = user;
    let User { is_admin, role, attributes, version, created_at: _, updated_at, .. } = user;
    let sql = tx.dialect().sql(
        "update users set email = $1, name = $2, locale = $3, time_zone = $4, attributes = $5, \
         admin_since = case when $6 = 0 then null else coalesce(admin_since, $7) end, role = $8, \
         version = $9, updated_at = $10, password_hash = coalesce($11, password_hash), email_verified_at = $12, \
         pending_email = $13, password_no = $14 where id = $15",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(email.as_str())
        .bind(name.as_str())
        .bind(locale.as_str())
        .bind(time_zone.as_str())
        .bind(json(attributes))
        .bind(i64::from(*is_admin))
        .bind(*updated_at)
        .bind(role.map(Role::as_str))
        .bind(*version)
        .bind(*updated_at)
        .bind(hash)
        .bind(*email_verified_at)
        .bind(pending_email.as_ref().map(Email::as_str))
        .bind(*password_no)
        .bind(*id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// How many admins there are, counted under a lock on each.
pub(crate) async fn count_admins(tx: &mut Tx) -> Result<usize> {
    let lock = if tx.dialect() == Dialect::Sqlite { "" } else { "for update" };
    let text = format!("select id from users where admin_since is not null and deleted_at is null order by id {lock}");
    let sql = tx.dialect().sql(&text);
    let ids: Vec<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).fetch_all(c).await)?;
    Ok(ids.len())
}

/// Ends a user's sessions, all but one.
pub(crate) async fn revoke_sessions(tx: &mut Tx, user_id: i64, but: i64, now: i64) -> Result<()> {
    let sql = "update sessions set revoked_at = $1 where user_id = $2 and id <> $3 and revoked_at is null";
    let sql = tx.dialect().sql(sql);
    with_tx!(tx, |c| sqlx::query(sql).bind(now).bind(user_id).bind(but).execute(c).await.map(drop))?;
    Ok(())
}

/// Anonymises a locked user: what identifies them is deleted, what they bought stays.
pub(crate) async fn anonymise(tx: &mut Tx, user_id: i64, nobody: &Customer, now: i64) -> Result<()> {
    let sql = tx.dialect().sql(
        "update users set email = $1, name = $2, locale = $3, time_zone = $4, attributes = '{}', password_hash = '', \
         admin_since = null, role = null, email_verified_at = null, pending_email = null, deleted_at = $5, updated_at = $6, version = version + 1 where id = $7",
    );
    with_tx!(&mut *tx, |c| sqlx::query(sql)
        .bind(nobody.email.as_str())
        .bind(nobody.name.as_str())
        .bind(nobody.locale.as_str())
        .bind(nobody.time_zone.as_str())
        .bind(now)
        .bind(now)
        .bind(user_id)
        .execute(c)
        .await
        .map(drop))?;
    revoke_sessions(tx, user_id, 0, now).await?;
    orders::redact(tx, user_id).await?;
    once::forget(tx, user_id).await?;
    stock_alerts::remove_of(tx, user_id).await?;
    Ok(())
}

/// Those of the users who are there. They neither leave nor move before the transaction ends, so what it writes of them
/// is there for [`anonymise`] to find.
pub(crate) async fn users(tx: &mut Tx, ids: impl IntoIterator<Item = i64>) -> Result<Vec<User>> {
    rows(tx, ids).await?.into_iter().map(User::try_from).collect()
}

/// The same without those whose rows hold what cannot be read: one of many must not keep the others waiting.
pub(crate) async fn readable(tx: &mut Tx, ids: impl IntoIterator<Item = i64>) -> Result<Vec<User>> {
    let read = |row: Row| User::try_from(row).inspect_err(|e| tracing::error!(error = %e, "a user is left out")).ok();
    Ok(rows(tx, ids).await?.into_iter().filter_map(read).collect())
}

async fn rows(tx: &mut Tx, ids: impl IntoIterator<Item = i64>) -> Result<Vec<Row>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select {COLUMNS} from {} {} users q where q.id = x.member and q.deleted_at is null {}",
        dialect.rows(1, &[Int("member")]),
        dialect.join(),
        dialect.share(),
    ));
    let rows = json(&ids.into_iter().map(|id| serde_json::json!({ "member": id })).collect::<Vec<_>>());
    Ok(with_tx!(tx, |connection| sqlx::query_as(sql).bind(rows).fetch_all(connection).await)?)
}

/// A value of ours as JSON text.
///
/// # Panics
/// Never: our values have text keys and no failing parts.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own values serialise")
}
