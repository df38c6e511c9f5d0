//! The few words in which the three databases differ.

use sqlx::AssertSqlSafe;

use crate::notification::State;

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    MySql,
    Postgres,
}

impl Dialect {
    /// Turns a text with `$1` … into what this database takes. Parameters stand once and in order. `SQLite` would take
    /// them as they are, but as names, of which it looks through all for each value that is bound.
    pub(crate) fn sql(self, text: &str) -> AssertSqlSafe<String> {
        if self == Self::Postgres {
            return AssertSqlSafe(text.to_owned());
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            out.push(if digits > 0 { '?' } else { '$' });
            rest = &rest[digits..];
        }
        out.push_str(rest);
        AssertSqlSafe(out)
    }

    /// A condition on a notification `s`. Of those that need an operator each database has an index, which only serves
    /// where its own condition is written out as well.
    pub(crate) fn stands(self, state: State) -> String {
        let name = state.as_str();
        match (self, state) {
            (_, State::NotSent | State::Sent) => format!("s.state = '{name}'"),
            (Self::MySql, _) => format!("s.unsent_state = '{name}'"),
            (Self::Sqlite | Self::Postgres, _) => {
                format!("s.state = '{name}' and s.state in ('failed', 'skipped', 'held')")
            }
        }
    }

    /// An expression for the database's time in unix milliseconds, moved by `offset_ms`.
    pub(crate) fn now_ms(self, offset_ms: i64) -> String {
        let now = match self {
            Self::Sqlite => "cast(unixepoch('subsec') * 1000 as integer)",
            Self::MySql => "cast(unix_timestamp(now(3)) * 1000 as signed)",
            Self::Postgres => "cast(extract(epoch from now()) * 1000 as bigint)",
        };
        format!("({now} + {offset_ms})")
    }

    /// A table `x` out of a JSON array of objects in parameter `param`; the first of `columns` is never null.
    ///
    /// # Panics
    /// Never: every table has a column.
    pub(crate) fn rows(self, param: u8, columns: &[Column]) -> String {
        let first = columns.first().expect("a table has a column");
        let list = |f: &dyn Fn(&Column) -> String| columns.iter().map(f).collect::<Vec<_>>().join(", ");
        match self {
            Self::Sqlite => {
                let columns = list(&|c| format!("value ->> '$.{0}' as {0}", c.name()));
                format!("(select {columns} from jsonb_each(${param})) as x")
            }
            Self::MySql => {
                let columns = list(&|c| format!("{} {} path '$.{}'", c.name(), c.mysql_type(), c.name()));
                format!("json_table(${param}, '$[*]' columns ({columns})) as x")
            }
            Self::Postgres => {
                let columns = list(&|c| format!("{} {}", c.name(), c.postgres_type()));
                // The planner takes the condition to be rarely true. Expecting one row it lets them drive; expecting a
                // hundred it would sooner read all of a young table, and it plans but once.
                let always = match first {
                    Column::Int(name) => format!("x.{name} = x.{name} + 0"),
                    Column::Text(name) => format!("x.{name} = x.{name} || ''"),
                };
                format!("(select * from jsonb_to_recordset(${param}::jsonb) as x({columns}) where {always}) as x")
            }
        }
    }

    /// `select … from rows x <join> table q where …`: the rows drive, whatever the planner thinks.
    pub(crate) fn join(self) -> &'static str {
        match self {
            Self::MySql => "straight_join",
            Self::Sqlite | Self::Postgres => "cross join",
        }
    }

    /// After a table: reads it by that index. What `MySQL` knows about a table lags behind one that churns, and it then
    /// reads the whole index for each row; `SQLite` needs no hint, and `PostgreSQL` gets it with the transaction.
    pub(crate) fn by_index(self, index: &str) -> String {
        match self {
            Self::MySql => format!("force index ({index})"),
            Self::Sqlite | Self::Postgres => String::new(),
        }
    }

    /// Keeps the selected rows of `q` until the transaction ends; the one `SQLite` writer needs no such thing.
    pub(crate) fn lock(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => "for update",
            Self::Postgres => "for update of q",
        }
    }

    /// Keeps the selected rows of `q` from being changed until the transaction ends, but lets others keep them too: as
    /// a foreign key does.
    pub(crate) fn share(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => "lock in share mode",
            Self::Postgres => "for key share of q",
        }
    }

    /// How long a text is: in bytes, and in characters.
    pub(crate) fn lengths(self, text: &str) -> (String, String) {
        match self {
            Self::Sqlite => (format!("length(cast({text} as blob))"), format!("length({text})")),
            Self::MySql => (format!("length({text})"), format!("char_length({text})")),
            Self::Postgres => (format!("octet_length({text})"), format!("char_length({text})")),
        }
    }

    /// The larger of two values.
    pub(crate) fn greatest(self) -> &'static str {
        match self {
            Self::Sqlite => "max",
            Self::MySql | Self::Postgres => "greatest",
        }
    }

    /// Updates the rows of `table` (`q`) that match a row of parameter 1 (`x`). `set` names columns of `q` bare, so
    /// no column of `x` may have the name of one that is set.
    pub(crate) fn update<'a>(
        self,
        table: impl Into<Table<'a>>,
        columns: &[Column],
        set: &str,
        matching: &str,
    ) -> AssertSqlSafe<String> {
        let (Table { name: table, index }, rows) = (table.into(), self.rows(1, columns));
        let by_index = index.map_or_else(String::new, |index| self.by_index(index));
        self.sql(&match self {
            Self::MySql => format!("update {rows} straight_join {table} as q {by_index} on {matching} set {set}"),
            Self::Sqlite | Self::Postgres => format!("update {table} as q set {set} from {rows} where {matching}"),
        })
    }

    /// Deletes the rows of `table` (`q`, with the primary key `key`) that match a row of parameter 1 (`x`); `then` is
    /// a `returning` clause, which `MySQL` does not have.
    pub(crate) fn delete<'a>(
        self,
        table: impl Into<Table<'a>>,
        key: &str,
        columns: &[Column],
        matching: &str,
        then: &str,
    ) -> AssertSqlSafe<String> {
        let (Table { name: table, index }, rows) = (table.into(), self.rows(1, columns));
        let by_index = index.map_or_else(String::new, |index| self.by_index(index));
        self.sql(&match self {
            Self::MySql => format!("delete q from {rows} straight_join {table} as q {by_index} on {matching}"),
            Self::Postgres => format!("delete from {table} as q using {rows} where {matching} {then}"),
            Self::Sqlite => format!(
                "delete from {table} where {key} in (select q.{key} from {rows} cross join {table} as q \
                 where {matching}) {then}"
            ),
        })
    }
}

/// A table whose rows are changed, and by which index they are found; none: by its primary key.
pub(crate) struct Table<'a> {
    pub(crate) name: &'a str,
    pub(crate) index: Option<&'a str>,
}

impl<'a> From<&'a str> for Table<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, index: None }
    }
}

/// A column of [`Dialect::rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// A BIGINT.
    Int(&'static str),
    /// Text.
    Text(&'static str),
}

impl Column {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int(name) | Self::Text(name) => name,
        }
    }

    fn mysql_type(&self) -> &'static str {
        match self {
            Self::Int(_) => "bigint",
            // Without it, the database's own character set, which may hold less.
            Self::Text(_) => "mediumtext character set utf8mb4",
        }
    }

    pub(super) fn postgres_type(self) -> &'static str {
        match self {
            Self::Int(_) => "bigint",
            Self::Text(_) => "text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;
    use crate::notification::State;

    #[test]
    fn what_needs_an_operator_is_found_by_its_index() {
        let condition = "state in ('failed', 'skipped', 'held')";
        let index = |migration: &str| {
            migration.contains(&format!("states_unsent on notification_states (state, id) where {condition}"))
        };
        assert!(index(include_str!("../../../migrations/sqlite/0016_console.sql")));
        assert!(index(include_str!("../../../migrations/postgres/0016_console.sql")));
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            // A planner that does not reason sees that the index holds all that is asked for.
            assert!(dialect.stands(State::Held).contains(&format!("s.{condition}")));
        }
        assert!(include_str!("../../../migrations/mysql/0016_console.sql").contains("(unsent_state, id)"));
        assert_eq!(Dialect::MySql.stands(State::Held), "s.unsent_state = 'held'");
        assert_eq!(Dialect::Sqlite.stands(State::Sent), "s.state = 'sent'");
    }

    #[test]
    fn only_postgres_numbers_parameters() {
        let text = "select '$.a' from t where a = $1 and b = $12";
        assert_eq!(Dialect::Postgres.sql(text).0, text);
        for dialect in [Dialect::MySql, Dialect::Sqlite] {
            assert_eq!(dialect.sql(text).0, "select '$.a' from t where a = ? and b = ?");
        }
    }
}
