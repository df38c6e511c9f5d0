use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

/// How often a watched order is looked at, for changes that other hosts make.
const LOOK: Duration = Duration::from_secs(2);

/// Who waits for changes of orders, in this host.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<HashMap<i64, Weak<Notify>>>>);

impl Changes {
    /// Wakes those who watch the order.
    pub(super) fn announce(&self, order_id: i64) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match watched.get(&order_id).and_then(Weak::upgrade) {
            Some(notify) => notify.notify_waiters(),
            None => drop(watched.remove(&order_id)),
        }
    }

    /// Resolves with the order's next change in this host, or when it is time to look. From now on, not from the
    /// first poll on.
    pub(super) fn notified(&self, order_id: i64) -> impl Future<Output = ()> + Send + 'static {
        let notify = {
            let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = watched.get(&order_id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let notify = Arc::new(Notify::new());
                watched.retain(|_, n| n.strong_count() > 0);
                watched.insert(order_id, Arc::downgrade(&notify));
                notify
            })
        };
        let changed = notify.notified_owned();
        async move {
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }
}
