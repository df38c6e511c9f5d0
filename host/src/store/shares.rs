//! What each host may use of what a relay takes from all of them, and how many mails it was given in a day.

use std::collections::HashMap;

use super::{Dialect, Result, Store, Tx, with_tx};
use crate::clock::DAY_MS;
use crate::quota::{Ask, Caps, Entry, Share, part};

/// A share that was not renewed for so long is free again, in milliseconds.
pub const EXPIRY_MS: i64 = 10_000;
/// What a host that has certainly ended had is free after the second in which relays count.
const WINDOW_MS: i64 = 1_000;
/// Mails of a day are counted in parts of it, in milliseconds: as long as that one counts too long.
const PART_MS: i64 = 600_000;

#[derive(sqlx_macros::FromRow)]
struct Row {
    relay: String,
    host: String,
    connections: i64,
    per_second: i64,
    wants: i64,
}

impl Row {
    fn entry(&self) -> Entry {
        let number = |n: i64| u32::try_from(n).unwrap_or_default();
        let caps = Caps { connections: number(self.connections), per_second: number(self.per_second) };
        Entry { host: self.host.clone(), caps, wants: self.wants != 0 }
    }
}

impl Store {
    /// Renews a host's shares of all relays, in the order of `asks`.
    pub async fn share(&self, host: &str, asks: &[Ask]) -> Result<Vec<Share>> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        let lock = if dialect == Dialect::Sqlite { "" } else { "for update" };
        let sql = dialect.sql(&format!("select id from relay_lock where id = 1 {lock}"));
        with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
        let sql = dialect.sql(&format!("select {}", dialect.now_ms(self.offset_ms())));
        let now: i64 = with_tx!(&mut tx, |c| sqlx::query_scalar(sql).fetch_one(c).await)?;
        let sql = dialect.sql("delete from relay_shares where renewed_at < $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(now - EXPIRY_MS).execute(c).await.map(drop))?;
        let sql = "select relay, host, connections, per_second, wants from relay_shares order by relay, host";
        let rows: Vec<Row> = with_tx!(&mut tx, |c| sqlx::query_as(sql).fetch_all(c).await)?;
        let sql = dialect.sql("delete from relay_shares where host = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        let days = days(&mut tx, now).await?;
        let mut shares = Vec::with_capacity(asks.len());
        for ask in asks {
            let of_relay = rows.iter().filter(|row| row.relay == ask.relay);
            let entries: Vec<Entry> = of_relay.map(Row::entry).collect();
            let day_given = give_day(&mut tx, ask, days.get(&ask.relay).copied().unwrap_or_default(), now).await?;
            let (caps, written) = part(ask, host, &entries);
            write(&mut tx, host, ask, written, now).await?;
            shares.push(Share { caps, day_given });
        }
        tx.commit().await?;
        Ok(shares)
    }

    /// Gives a host's shares back.
    pub async fn give_up_shares(&self, host: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("delete from relay_shares where host = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }
}

/// Has the shares expire of a host that has ended.
pub(super) async fn free_soon(tx: &mut Tx, holder: i64, now: &str) -> Result<()> {
    let sql = tx.dialect().sql(&format!(
        "update relay_shares set renewed_at = {now} - {EXPIRY_MS} + {WINDOW_MS} \
         where host in (select host from hosts where holder = $1)"
    ));
    with_tx!(tx, |c| sqlx::query(sql).bind(holder).execute(c).await.map(drop))?;
    Ok(())
}

async fn write(tx: &mut Tx, host: &str, ask: &Ask, written: Caps, now: i64) -> Result<()> {
    let sql = tx.dialect().sql(
        "insert into relay_shares (relay, host, connections, per_second, wants, renewed_at) \
         values ($1, $2, $3, $4, $5, $6)",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(&ask.relay)
        .bind(host)
        .bind(i64::from(written.connections))
        .bind(i64::from(written.per_second))
        .bind(i64::from(ask.wants))
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// How many mails each relay was given within a day.
async fn days(tx: &mut Tx, now: i64) -> Result<HashMap<String, i64>> {
    let dialect = tx.dialect();
    let sql = dialect.sql("delete from relay_days where began_at < $1");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(now - DAY_MS - PART_MS).execute(c).await.map(drop))?;
    let sql = "select relay, cast(sum(mails) as char(20)) from relay_days group by relay";
    let days: Vec<(String, String)> = with_tx!(tx, |c| sqlx::query_as(sql).fetch_all(c).await)?;
    Ok(days.into_iter().map(|(relay, mails)| (relay, mails.trim().parse().unwrap_or(i64::MAX))).collect())
}

/// Gives a host mails of a relay's day, or takes them back.
async fn give_day(tx: &mut Tx, ask: &Ask, given: i64, now: i64) -> Result<i64> {
    let Some(max) = ask.per_day_max else { return Ok(0) };
    let more = ask.day_wanted.min(i64::from(max) - given).max(ask.day_wanted.min(0));
    if more == 0 {
        return Ok(0);
    }
    let began_at = now - now.rem_euclid(PART_MS);
    let dialect = tx.dialect();
    let sql = dialect.sql("update relay_days set mails = mails + $1 where relay = $2 and began_at = $3");
    let known = with_tx!(&mut *tx, |c| sqlx::query(sql)
        .bind(more)
        .bind(&ask.relay)
        .bind(began_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    if known == 0 {
        let sql = dialect.sql("insert into relay_days (mails, relay, began_at) values ($1, $2, $3)");
        with_tx!(tx, |c| sqlx::query(sql).bind(more).bind(&ask.relay).bind(began_at).execute(c).await.map(drop))?;
    }
    Ok(more)
}
