//! Telling the workers of other hosts that something was enqueued, where the database can: `PostgreSQL`. Elsewhere,
//! and when a word is lost, they find it by polling.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Db, Store};

const CHANNEL: &str = "ecomm_queue";
/// Not more often than this: every NOTIFY takes a lock that all commits share.
const PAUSE: Duration = Duration::from_millis(20);
/// After a connection broke.
const RECONNECT: Duration = Duration::from_secs(1);

impl Store {
    /// Passes `announce` on to all hosts, outside the transactions that caused it.
    pub async fn announce(self, announce: Arc<Notify>, stop: CancellationToken) {
        let Db::Postgres(pool) = self.db else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = announce.notified() => {}
            }
            let notify = sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(&pool);
            if let Err(e) = notify.await {
                tracing::debug!(error = %e, "other hosts were not told; they poll");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Wakes this host's worker when another host announces.
    pub async fn listen(self, wake: Arc<Notify>, stop: CancellationToken) {
        let Db::Postgres(pool) = self.db else { return };
        while !stop.is_cancelled() {
            let listening = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(CHANNEL).await?;
                loop {
                    listener.recv().await?;
                    wake.notify_one();
                }
            };
            let ended: Result<(), sqlx::Error> = tokio::select! {
                () = stop.cancelled() => return,
                ended = listening => ended,
            };
            if let Err(e) = ended {
                tracing::debug!(error = %e, "not told of other hosts' events for now; polling");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}
