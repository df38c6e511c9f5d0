//! The one writer of an `SQLite` database. Those that wait while a commit is under way share the next one, each in
//! a savepoint of its own; none is answered before the commit.
//!
//! The connection has a thread of its own. A task that waits for its answer waits, on a busy host, for all others as
//! well: so a turn's statements go there together where they can ([`Writer::run`]), and nobody waits for its release.

use std::sync::Arc;

use futures_util::FutureExt;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, FromRow};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, oneshot};

use super::{Error, Result};

/// Gives out turns.
#[derive(Clone)]
pub(crate) struct Writer {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    _committer: Arc<Committer>,
}

/// Ends the committing task with the last handle on its writer.
struct Committer(tokio::task::JoinHandle<()>);

impl Drop for Committer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Of a commit that many share.
type Outcome = std::result::Result<(), Arc<Error>>;

struct State {
    connection: Option<SqliteConnection>,
    /// A transaction is open.
    open: bool,
    /// A turn is under way; found by somebody else than the turn, that one was dropped half-way.
    in_turn: bool,
    /// Who waits for the commit.
    waiting: Vec<oneshot::Sender<Outcome>>,
}

impl Writer {
    /// `scratch` makes what belongs to the connection and is gone with it.
    #[expect(clippy::disallowed_methods, reason = "lives as long as the writer and is aborted with it")]
    pub(crate) async fn open(options: &SqliteConnectOptions, scratch: &'static str) -> Result<Self> {
        let mut connection = options.connect().await?;
        connection.execute(scratch).await?;
        let connection = Some(connection);
        let state = Arc::new(Mutex::new(State { connection, open: false, in_turn: false, waiting: Vec::new() }));
        let wake = Arc::new(Notify::new());
        let committer = tokio::spawn(commit_whenever_woken(state.clone(), wake.clone()));
        Ok(Self { state, wake, _committer: Arc::new(Committer(committer)) })
    }

    /// Waits for the turn. The lock is fair: turns are had in the order in which they were asked for.
    pub(crate) async fn begin(&self) -> Result<Turn> {
        let (turn, _) = self.run::<Nothing>("", SqliteArguments::default()).await?;
        Ok(turn)
    }

    /// The same, and runs any number of statements at once; what they return is one list.
    pub(crate) async fn run<T>(&self, sql: &str, arguments: SqliteArguments) -> Result<(Turn, Vec<T>)>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let state = self.state.clone().lock_owned().await;
        let mut turn = Turn { state, wake: self.wake.clone() };
        let state = &mut *turn.state;
        state.clean().await;
        let connection = state.connection.as_mut().ok_or_else(closed)?;
        let is_first = !state.open;
        // First: were this future dropped before the connection answers, what it did would be left behind.
        (state.open, state.in_turn) = (true, true);
        let text = format!("{}savepoint turn; {sql}", if is_first { "begin immediate; " } else { "" });
        let text = AssertSqlSafe(text);
        match sqlx::query_as_with(text, arguments).fetch_all(connection).await {
            Ok(rows) => Ok((turn, rows)),
            Err(e) => {
                if is_first {
                    // Nobody shares it, and perhaps it never began.
                    let _ = state.execute("rollback").await;
                    (state.open, state.in_turn) = (false, false);
                }
                Err(e.into())
            }
        }
    }

    pub(crate) async fn migrate(&self, migrator: &Migrator) -> Result<()> {
        let mut state = self.state.lock().await;
        state.clean().await;
        state.commit().await;
        let connection = state.connection.as_mut().ok_or_else(closed)?;
        Ok(migrator.run(connection).await?)
    }

    pub(crate) async fn close(&self) {
        let mut state = self.state.lock().await;
        state.clean().await;
        state.commit().await;
        if let Some(connection) = state.connection.take() {
            let _ = connection.close().await;
        }
    }
}

/// A place in the writer's transaction. Dropped without [`commit`](Self::commit), its changes are undone.
pub(crate) struct Turn {
    state: OwnedMutexGuard<State>,
    wake: Arc<Notify>,
}

impl Turn {
    /// # Panics
    /// Never: a turn is only given while the connection is open.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.state.connection.as_mut().expect("open while a turn is out")
    }

    /// Ends the turn and waits for the shared commit.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.state.in_turn = false;
        let connection = self.state.connection.as_mut().ok_or_else(closed)?;
        // Sent, and not waited for: it goes before whatever is sent next. Should it fail, the commit ends the savepoint.
        let _ = connection.execute("release turn").now_or_never();
        let (sender, receiver) = oneshot::channel();
        self.state.waiting.push(sender);
        drop(self);
        receiver.await.map_err(|_| closed())?.map_err(Error::Shared)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl State {
    async fn execute(&mut self, sql: &'static str) -> Result<()> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        connection.execute(sql).await?;
        Ok(())
    }

    /// Undoes what a dropped turn left behind. When even its savepoint is gone, the database has rolled back the
    /// whole transaction (disk full, I/O error), and everybody who shares it must hear so.
    async fn clean(&mut self) {
        if !self.in_turn {
            return;
        }
        if let Err(e) = self.execute("rollback to turn; release turn").await {
            let _ = self.execute("rollback").await;
            self.answer(&Err(Arc::new(e)));
        }
        // Last: who is dropped half-way here leaves it to the next.
        self.in_turn = false;
    }

    async fn commit(&mut self) {
        if self.open {
            let outcome = self.execute("commit").await.map_err(Arc::new);
            if outcome.is_err() {
                let _ = self.execute("rollback").await;
            }
            self.answer(&outcome);
        }
    }

    fn answer(&mut self, outcome: &Outcome) {
        self.open = false;
        for sender in self.waiting.drain(..) {
            let _ = sender.send(outcome.clone());
        }
    }
}

/// Queues for the lock like everybody else, so those that asked before it share the commit.
async fn commit_whenever_woken(state: Arc<Mutex<State>>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        let mut state = state.lock().await;
        state.clean().await;
        state.commit().await;
    }
}

/// No statement of a turn's beginning returns a row.
struct Nothing;

impl FromRow<'_, SqliteRow> for Nothing {
    fn from_row(_: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self)
    }
}

fn closed() -> Error {
    Error::Undone("the database is closed".to_owned())
}

#[cfg(test)]
mod tests {
    use sqlx::Arguments;

    use super::*;

    const INSERT: &str = "insert into t (n) values ($1); insert into t (n) values (-$1) returning n";

    async fn writer(folder: &tempfile::TempDir) -> Writer {
        let file = folder.path().join("test.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let writer = Writer::open(&options, "").await.unwrap();
        let (turn, _) =
            writer.run::<(i64,)>("create table t (n bigint unique)", SqliteArguments::default()).await.unwrap();
        turn.commit().await.unwrap();
        writer
    }

    fn one(n: i64) -> SqliteArguments {
        let mut arguments = SqliteArguments::default();
        arguments.add(n).unwrap();
        arguments
    }

    async fn insert(writer: &Writer, n: i64) -> Result<Vec<(i64,)>> {
        let (turn, rows) = writer.run(INSERT, one(n)).await?;
        turn.commit().await?;
        Ok(rows)
    }

    async fn kept(writer: &Writer) -> Vec<(i64,)> {
        let select = "select n from t where n > 0 order by n";
        writer.run(select, SqliteArguments::default()).await.unwrap().1
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_is_dropped_half_way_leaves_nothing_and_fails_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let mut expected = Vec::new();
        for n in (1..=300).step_by(3) {
            // The first of its transaction, asked for and gone before the answer.
            drop(writer.run::<(i64,)>(INSERT, one(n)).now_or_never());
            // One whose commit is still to come, and another that is gone.
            let waiting = insert(&writer, n + 1);
            let gone = async {
                let turn = writer.run::<(i64,)>(INSERT, one(n + 2));
                tokio::pin!(turn);
                // Whether it waits for its turn or has begun is up to chance.
                for _ in 0..n % 4 {
                    tokio::select! {
                        biased;
                        _ = &mut turn => return,
                        () = tokio::task::yield_now() => {}
                    }
                }
            };
            assert_eq!(tokio::join!(waiting, gone).0.unwrap(), [(-n - 1,)]);
            expected.push((n + 1,));
        }
        assert_eq!(kept(&writer).await, expected);
    }

    #[tokio::test]
    async fn a_turn_that_fails_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        insert(&writer, 1).await.unwrap();
        let (first, second, third) = tokio::join!(insert(&writer, 2), insert(&writer, 1), insert(&writer, 3));
        assert!(first.is_ok() && third.is_ok() && second.unwrap_err().is_taken());
        assert_eq!(kept(&writer).await, [(1,), (2,), (3,)]);
    }
}
