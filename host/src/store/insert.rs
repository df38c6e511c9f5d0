//! Rows to be inserted travel as values, many in one statement.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::dialect::Column;
use super::{Dialect, Result, Tx, with_tx};

/// How many rows one statement may have, where each value is a parameter: few sizes, since each is a statement to prepare,
/// but enough that any number of rows takes few statements.
const SIZES: [usize; 14] = [128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];
/// The same where each column is a parameter.
const ROWS_MAX: usize = 1_024;

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

/// Binds each column's values as one array.
macro_rules! bound_columns {
    ($query:expr, $insert:expr, $rows:expr) => {{
        let mut query = $query;
        for column in $insert.columns {
            query = match column {
                Column::Int(name) => query.bind($rows.iter().map(|row| row[*name].as_i64()).collect::<Vec<_>>()),
                Column::Text(name) => query.bind($rows.iter().map(|row| row[*name].as_str()).collect::<Vec<_>>()),
            };
        }
        query
    }};
}

impl Insert<'_> {
    pub(crate) async fn rows(&self, tx: &mut Tx, rows: &[Value]) -> Result<()> {
        if let Tx::Postgres(session) = tx {
            for rows in rows.chunks(ROWS_MAX) {
                bound_columns!(sqlx::query(self.columns_sql("")), self, rows).execute(&mut *session).await?;
            }
            return Ok(());
        }
        for rows in Parts(rows) {
            let sql = self.sql(tx.dialect(), rows.len(), "");
            with_tx!(&mut *tx, |c| bound!(sqlx::query(sql), self, rows).execute(c).await.map(drop))?;
        }
        Ok(())
    }

    /// The same; says which ids the database made, in the order of the rows.
    pub(crate) async fn ids(&self, tx: &mut Tx, rows: &[Value]) -> Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(rows.len());
        // Made in the order of the rows, but not always returned in it.
        let mut add = |mut made: Vec<i64>| {
            made.sort_unstable();
            ids.extend(made);
        };
        if let Tx::Postgres(session) = tx {
            for rows in rows.chunks(ROWS_MAX) {
                let query = sqlx::query_scalar(self.columns_sql("returning id"));
                add(bound_columns!(query, self, rows).fetch_all(&mut *session).await?);
            }
            return Ok(ids);
        }
        for rows in Parts(rows) {
            if let Tx::MySql(tx, step) = tx {
                let sql = self.sql(Dialect::MySql, rows.len(), "");
                let done = bound!(sqlx::query(sql), self, rows).execute(&mut **tx).await?;
                // The manual's "simple inserts": in steps, whatever else is inserted meanwhile.
                let first = i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX);
                add((0..).map(|n| first + n * *step).take(rows.len()).collect());
                continue;
            }
            let sql = self.sql(tx.dialect(), rows.len(), "returning id");
            add(with_tx!(&mut *tx, |c| bound!(sqlx::query_scalar(sql), self, rows).fetch_all(c).await)?);
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

    /// `PostgreSQL` reads rows out of arrays: one statement for any number of them.
    fn columns_sql(&self, then: &str) -> AssertSqlSafe<String> {
        let columns: Vec<_> = self.columns.iter().map(|c| c.name()).collect();
        let arrays = self.columns.iter().enumerate().map(|(n, c)| format!("${}::{}[]", n + 1, c.postgres_type()));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let (fixed, values): (Vec<_>, Vec<_>) = self.fixed.iter().copied().unzip();
        let (names, values) = ([&columns[..], &fixed].concat(), [&columns[..], &values].concat());
        let (table, columns, names, values) = (self.table, columns.join(", "), names.join(", "), values.join(", "));
        AssertSqlSafe(format!(
            "insert into {table} ({names}) select {values} from unnest({arrays}) as x({columns}) {then}"
        ))
    }
}

/// Cuts rows into parts of [`SIZES`], the largest first.
struct Parts<'a>(&'a [Value]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [Value];

    fn next(&mut self) -> Option<&'a [Value]> {
        let size = SIZES.into_iter().find(|size| *size <= self.0.len())?;
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
        assert_eq!(sizes(7), [6, 1]);
        assert_eq!(sizes(31), [24, 6, 1]);
        assert_eq!(sizes(300), [128, 128, 32, 12]);
        assert!((1..=300).all(|n| sizes(n).iter().sum::<usize>() == n && sizes(n).len() <= 5));
    }

    #[test]
    fn places_are_numbered_through() {
        let insert = Insert { table: "t", columns: &[Int("a"), Text("b")], fixed: &[("c", "now()")] };
        let sql = insert.sql(Dialect::Sqlite, 2, "returning id").0;
        assert_eq!(sql, "insert into t (a, b, c) values (?, ?, now()), (?, ?, now()) returning id");
        assert_eq!(insert.sql(Dialect::MySql, 1, "").0, "insert into t (a, b, c) values (?, ?, now()) ");
        assert_eq!(
            insert.columns_sql("").0,
            "insert into t (a, b, c) select a, b, now() from unnest($1::bigint[], $2::text[]) as x(a, b) "
        );
    }
}
