//! What waits for a connection while each of them carries a message: its envelope goes out behind that message, and the
//! connection is its own next (RFC 2920 3.1). So a connection takes a message with each answer of its peer, and not with every
//! second one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long what is next waits for the message before it to be answered for; then it takes whichever connection is free.
const NEXT_MAX: Duration = Duration::from_secs(2);

/// Messages that wait for a connection, oldest first. `C` is a connection.
pub(super) struct Pipeline<C> {
    waiting: Mutex<Waiting<C>>,
}

struct Waiting<C> {
    /// By number, which counts up.
    queue: VecDeque<Entry<C>>,
    next: u64,
}

struct Entry<C> {
    number: u64,
    envelope: String,
    sender: oneshot::Sender<C>,
}

/// One that waits, until it is dropped.
pub(super) struct Waiter<'a, C> {
    pipeline: &'a Pipeline<C>,
    number: u64,
    given: oneshot::Receiver<C>,
}

/// One whose envelope is sent behind another message. Dropped with what it is not given, it looks for another connection.
pub(super) struct Next<C> {
    sender: oneshot::Sender<C>,
}

impl<C> Pipeline<C> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(Waiting { queue: VecDeque::new(), next: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines a message up by its envelope.
    pub(super) fn wait(&self, envelope: String) -> Waiter<'_, C> {
        let (sender, given) = oneshot::channel();
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.queue.push_back(Entry { number, envelope, sender });
        Waiter { pipeline: self, number, given }
    }

    /// The one that has waited longest, and its envelope, which must be sent, or the one be dropped.
    pub(super) fn next(&self) -> Option<(String, Next<C>)> {
        let Entry { envelope, sender, .. } = self.lock().queue.pop_front()?;
        Some((envelope, Next { sender }))
    }
}

impl<C> Waiter<'_, C> {
    /// Leaves the line, because there is another connection; false: it was its turn, and its envelope is being sent.
    pub(super) fn leave(&self) -> bool {
        let mut waiting = self.pipeline.lock();
        let at = waiting.queue.binary_search_by_key(&self.number, |entry| entry.number);
        at.ok().and_then(|at| waiting.queue.remove(at)).is_some()
    }

    /// The connection behind whose message its envelope was sent; none if it broke.
    pub(super) async fn given(&mut self) -> Option<C> {
        (&mut self.given).await.ok()
    }

    /// The same, once its envelope is being sent; none as well if that message is not answered for in a while.
    pub(super) async fn given_soon(&mut self) -> Option<C> {
        tokio::time::timeout(NEXT_MAX, self.given()).await.ok().flatten()
    }
}

impl<C> Drop for Waiter<'_, C> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<C> Next<C> {
    /// Gives it the connection. The error is the connection, which waits for a message that will not come.
    pub(super) fn give(self, connection: C) -> Result<(), C> {
        self.sender.send(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::Pipeline;

    #[tokio::test]
    async fn the_oldest_is_next_and_gets_what_it_is_given() {
        let pipeline = Pipeline::new();
        assert!(pipeline.next().is_none());
        let (mut first, second) = (pipeline.wait("first".to_owned()), pipeline.wait("second".to_owned()));
        let (envelope, next) = pipeline.next().unwrap();
        assert_eq!(envelope, "first");
        assert!(!first.leave(), "its envelope is being sent");
        assert_eq!(next.give(7), Ok(()));
        assert_eq!(first.given().await, Some(7));
        assert!(second.leave());
        assert!(pipeline.next().is_none(), "it has left");
    }

    #[tokio::test]
    async fn who_is_given_nothing_hears_of_it() {
        let pipeline = Pipeline::<u8>::new();
        let mut waiter = pipeline.wait(String::new());
        drop(pipeline.next());
        assert_eq!(waiter.given_soon().await, None, "the connection broke");
        let waiter = pipeline.wait(String::new());
        let (_, next) = pipeline.next().unwrap();
        drop(waiter);
        assert_eq!(next.give(7), Err(7), "it is elsewhere");
        drop(pipeline.wait(String::new()));
        assert!(pipeline.next().is_none(), "who is dropped has left");
    }
}
