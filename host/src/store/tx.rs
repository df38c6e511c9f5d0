//! A transaction on whichever database is open.

use sqlx::{MySql, Transaction};

use super::postgres::Session;
use super::writer::Turn;
use super::{Dialect, Result};

/// Rolled back when dropped.
pub(crate) enum Tx {
    Sqlite(Turn),
    /// And how far the ids of one statement's rows are apart.
    MySql(Transaction<'static, MySql>, i64),
    Postgres(Session),
}

/// Runs `$body` with `$connection` bound to the transaction's connection.
macro_rules! with_tx {
    ($tx:expr, |$connection:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(turn) => {
                let $connection = turn.connection();
                $body
            }
            $crate::store::Tx::MySql(tx, _) => {
                let $connection = &mut **tx;
                $body
            }
            $crate::store::Tx::Postgres(session) => {
                let $connection = session;
                $body
            }
        }
    };
}
pub(crate) use with_tx;

impl Tx {
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(turn) => turn.commit().await,
            Self::MySql(tx, _) => Ok(tx.commit().await?),
            Self::Postgres(session) => Ok(session.commit().await?),
        }
    }

    /// Runs a `delete` whose parameters are numbers; says how many rows went.
    pub(super) async fn delete(&mut self, sql: &str, numbers: &[i64]) -> Result<u64> {
        let sql = self.dialect().sql(sql);
        Ok(with_tx!(self, |c| {
            let query = numbers.iter().fold(sqlx::query(sql), |query, number| query.bind(*number));
            query.execute(c).await.map(|done| done.rows_affected())
        })?)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(..) => Dialect::MySql,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// Inserts one row and evaluates to the id that the database made: `insert_id!(tx, "insert into …", a, b)`.
macro_rules! insert_id {
    ($tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {{
        let dialect = $tx.dialect();
        match $tx {
            $crate::store::Tx::MySql(tx, _) => {
                let done = sqlx::query(dialect.sql($sql))$(.bind($value))*.execute(&mut **tx).await?;
                i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX)
            }
            $crate::store::Tx::Sqlite(turn) => {
                let done = sqlx::query(dialect.sql($sql))$(.bind($value))*.execute(turn.connection()).await?;
                done.last_insert_rowid()
            }
            $crate::store::Tx::Postgres(session) => {
                let sql = format!("{} returning id", $sql);
                sqlx::query_scalar(dialect.sql(&sql))$(.bind($value))*.fetch_one(session).await?
            }
        }
    }};
}
pub(crate) use insert_id;
