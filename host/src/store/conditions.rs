//! The conditions of a list, put together from what was asked for.

use sqlx::FromRow;
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::{Result, Store, with_pool};

/// A bound value.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    Int(i64),
    Text(String),
}

/// Conditions that all hold. A `?` stands for the value beside it.
#[derive(Default)]
pub(super) struct Conditions {
    text: String,
    args: Vec<Arg>,
}

impl Conditions {
    /// One more condition.
    pub(super) fn and(&mut self, condition: &str, arg: Arg) {
        self.fixed("");
        self.glue(condition, arg);
    }

    /// One more condition, or the beginning of one, without a value.
    pub(super) fn fixed(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " where " } else { " and " });
        self.text.push_str(condition);
    }

    /// Ends the last condition.
    pub(super) fn close(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Goes on with the last condition.
    pub(super) fn glue(&mut self, text: &str, arg: Arg) {
        self.args.push(arg);
        self.text.push_str(&text.replacen('?', &format!("${}", self.args.len()), 1));
    }

    /// Begins behind an item, by a sorted column (none: by the key alone) and the key; gives back the order.
    pub(super) fn behind(
        &mut self,
        column: Option<&str>,
        key: &str,
        descends: bool,
        after: Option<&(Option<String>, i64)>,
    ) -> String {
        let (than, way) = if descends { ("<", "desc") } else { (">", "asc") };
        let Some(column) = column else {
            if let Some((_, id)) = after {
                self.and(&format!("{key} {than} ?"), Arg::Int(*id));
            }
            return format!("{key} {way}");
        };
        if let Some((Some(value), id)) = after {
            let value = value.parse().map_or_else(|_| Arg::Text(value.clone()), Arg::Int);
            let value = if column.ends_with("name") { text(value) } else { value };
            self.fixed("(");
            self.glue(&format!("{column} {than} ? or ("), value.clone());
            self.glue(&format!("{column} = ? and "), value);
            self.glue(&format!("{key} {than} ?))"), Arg::Int(*id));
        }
        format!("{column} {way}, {key} {way}")
    }

    /// Runs the list.
    pub(super) async fn fetch<R>(self, store: &Store, select: &str, order: &str, limit: i64) -> Result<Vec<R>>
    where
        R: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, PgRow>,
    {
        let limited = self.args.len() + 1;
        let text = format!("{select}{} order by {order} limit ${limited}", self.text);
        let sql = store.dialect().sql(&text);
        Ok(with_pool!(store, |pool| {
            let mut query = sqlx::query_as(sql);
            for arg in self.args {
                query = match arg {
                    Arg::Int(n) => query.bind(n),
                    Arg::Text(s) => query.bind(s),
                };
            }
            query.bind(limit).fetch_all(pool).await?
        }))
    }
}

fn text(arg: Arg) -> Arg {
    match arg {
        Arg::Int(n) => Arg::Text(n.to_string()),
        text @ Arg::Text(_) => text,
    }
}

/// A text to be found by `like … escape '!'` as it stands.
pub(super) fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
