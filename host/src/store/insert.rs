//! Rows to be inserted travel as values, many in one statement.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::dialect::Column;
use super::{Dialect, Result, Tx, with_tx};

/// The most rows of one statement. Fewer go in powers of two, so that there are few statements to prepare.
const ROWS_MAX: usize = 128;

/// What is inserted where.
pub(crate) struct Insert<'a> {
    pub(crate) table: &'a str,
    /// The columns that each row, an object, has a value or null for.
    pub(crate) columns: &'a [Column],
    /// Columns that are the same in each row, as SQL.
    pub(crate) fixed: &'a [(&'a str, &'a str)],
}

/// Binds each value of each row.
macro_rules! bound {
    ($query:expr, $insert:expr, $rows:expr) => {{
        let mut query = $query;
        for row in $rows {
            for column in $insert.columns {
                query = match column {
                    Column::Int(name) => query.bind(row[*name].as_i64()),
                    Column::Text(name) => query.bind(row[*name].as_str()),
                };
            }
        }
        query
    }};
}

impl Insert<'_> {
    pub(crate) async fn rows(&self, tx: &mut Tx, rows: &[Value]) -> Result<()> {
        for rows in Parts(rows) {
            let sql = self.sql(tx.dialect(), rows.len(), "");
            with_tx!(&mut *tx, |c| bound!(sqlx::query(sql), self, rows).execute(c).await.map(drop))?;
        }
        Ok(())
    }

    /// The same; says which ids the database made, in the order of the rows.
    pub(crate) async fn ids(&self, tx: &mut Tx, rows: &[Value]) -> Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(rows.len());
        for rows in Parts(rows) {
            if let Tx::MySql(tx, step) = tx {
                let sql = self.sql(Dialect::MySql, rows.len(), "");
                let done = bound!(sqlx::query(sql), self, rows).execute(&mut **tx).await?;
                // The manual's "simple inserts": in steps, whatever else is inserted meanwhile.
                let first = i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX);
                ids.extend((0..).map(|n| first + n * *step).take(rows.len()));
                continue;
            }
            let sql = self.sql(tx.dialect(), rows.len(), "returning id");
            let mut made: Vec<i64> =
                with_tx!(&mut *tx, |c| bound!(sqlx::query_scalar(sql), self, rows).fetch_all(c).await)?;
            // Made in the order of the rows, but not always returned in it.
            made.sort_unstable();
            ids.extend(made);
        }
        Ok(ids)
    }

    fn sql(&self, dialect: Dialect, rows: usize, then: &str) -> AssertSqlSafe<String> {
        let fixed = self.fixed.iter().map(|(name, _)| *name);
        let names: Vec<_> = self.columns.iter().map(|c| c.name()).chain(fixed).collect();
        let row = |n: usize| {
            let first = n * self.columns.len() + 1;
            let values = (first..first + self.columns.len()).map(|place| format!("${place}"));
            let values: Vec<_> = values.chain(self.fixed.iter().map(|(_, sql)| (*sql).to_owned())).collect();
            format!("({})", values.join(", "))
        };
        let values: Vec<_> = (0..rows).map(row).collect();
        let (table, names, values) = (self.table, names.join(", "), values.join(", "));
        dialect.sql(&format!("insert into {table} ({names}) values {values} {then}"))
    }
}

/// Cuts rows into as few parts as there may be of [`ROWS_MAX`] or a power of two.
struct Parts<'a>(&'a [Value]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [Value];

    fn next(&mut self) -> Option<&'a [Value]> {
        let size = 1 << self.0.len().min(ROWS_MAX).checked_ilog2()?;
        let (part, rest) = self.0.split_at(size);
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Column::{Int, Text};
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        let rows = vec![Value::Null; 300];
        let sizes = |n: usize| Parts(&rows[..n]).map(<[Value]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(7), [4, 2, 1]);
        assert_eq!(sizes(300), [128, 128, 32, 8, 4]);
    }

    #[test]
    fn places_are_numbered_through() {
        let insert = Insert { table: "t", columns: &[Int("a"), Text("b")], fixed: &[("c", "now()")] };
        let sql = insert.sql(Dialect::Postgres, 2, "returning id").0;
        assert_eq!(sql, "insert into t (a, b, c) values ($1, $2, now()), ($3, $4, now()) returning id");
        assert_eq!(insert.sql(Dialect::MySql, 1, "").0, "insert into t (a, b, c) values (?, ?, now()) ");
    }
}
