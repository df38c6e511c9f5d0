//! Telling the workers of other hosts that something was enqueued, where the database can: `PostgreSQL`. Elsewhere,
//! and when a word is lost, they find it by polling.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Executor, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::postgres::Pg;
use super::{Db, Store};

const CHANNEL: &str = "ecomm_queue";
const NOTIFY: &str = "select pg_notify('ecomm_queue', '')";
/// Not more often than this: every NOTIFY takes a lock that all commits share.
const PAUSE: Duration = Duration::from_millis(20);
/// After a connection broke.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long a notification of our own may take to come back.
const PROBE_MAX: Duration = Duration::from_secs(5);

impl Store {
    /// Passes `announce` on to all hosts, outside the transactions that caused it.
    pub async fn announce(self, announce: Arc<Notify>, stop: CancellationToken) {
        let Db::Postgres(Pg { pool, .. }) = self.db else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = announce.notified() => {}
            }
            if let Err(e) = pool.execute(NOTIFY).await {
                tracing::debug!(error = %e, "other hosts were not notified; they poll");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Wakes this host's worker when another host announces. Returns when the database passes nothing on: a pooler of
    /// transactions takes LISTEN and forgets it.
    pub async fn listen(self, wake: Arc<Notify>, stop: CancellationToken) {
        let Db::Postgres(Pg { pool, .. }) = self.db else { return };
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = listen(&pool, &wake) => ended,
            };
            match ended {
                Ok(()) => {
                    tracing::warn!(
                        "LISTEN gets nothing through this connection, as behind a pooler of transactions: what other hosts \
                         enqueue is found by polling (queue.poll_ms); set database.listen = false"
                    );
                    return;
                }
                Err(e) => tracing::debug!(error = %e, "no notifications from other hosts for now; polling"),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// Passes on what is announced until the connection breaks; ends without an error when not even our own notification
/// comes back.
async fn listen(pool: &PgPool, wake: &Notify) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    pool.execute(NOTIFY).await?;
    match tokio::time::timeout(PROBE_MAX, listener.recv()).await {
        Err(_) => return Ok(()),
        Ok(first) => drop(first?),
    }
    loop {
        listener.recv().await?;
        wake.notify_one();
    }
}
