//! Records one at a time for those who ask, together for the database.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::store;

/// The most that one commit carries.
const GROUP_MAX: usize = 500;
/// How often a deadlock's victim is tried again.
const TRIES_MAX: usize = 5;

type Asked<T> = (T, oneshot::Sender<Result<bool, String>>);

/// Whatever waits when the previous commit returns goes into the next.
pub(super) struct Group<T> {
    ask: mpsc::Sender<Asked<T>>,
    asked: Arc<Mutex<mpsc::Receiver<Asked<T>>>>,
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        Self { ask: self.ask.clone(), asked: self.asked.clone() }
    }
}

impl<T: Clone + Send + Sync + 'static> Group<T> {
    pub(super) fn new() -> Self {
        let (ask, asked) = mpsc::channel(GROUP_MAX);
        Self { ask, asked: Arc::new(Mutex::new(asked)) }
    }

    /// Whether the claim still held. The error is the database's.
    pub(super) async fn record(&self, item: T) -> Result<bool, String> {
        let (told, tell) = oneshot::channel();
        let gone = || "the worker has stopped".to_owned();
        self.ask.send((item, told)).await.map_err(|_| gone())?;
        tell.await.map_err(|_| gone())?
    }

    /// Records groups until dropped.
    pub(super) async fn run<F, W>(self, write: F)
    where
        F: Fn(Arc<[T]>) -> W,
        W: Future<Output = store::Result<Vec<bool>>>,
    {
        let mut asked = self.asked.lock().await;
        let mut group = Vec::new();
        loop {
            asked.recv_many(&mut group, GROUP_MAX).await;
            let (items, askers): (Vec<T>, Vec<_>) = group.drain(..).unzip();
            let items: Arc<[T]> = items.into();
            match persist(&write, items.clone()).await {
                Ok(held) => {
                    for (asker, held) in askers.into_iter().zip(held) {
                        let _ = asker.send(Ok(held));
                    }
                }
                Err(e) if askers.len() == 1 => {
                    let _ = askers.into_iter().next().map(|asker| asker.send(Err(e.to_string())));
                }
                // One bad row must not keep the others from being recorded.
                Err(_) => {
                    for (item, asker) in items.iter().zip(askers) {
                        let alone = persist(&write, [item.clone()].into()).await;
                        let _ = asker.send(alone.map(|held| held[0]).map_err(|e| e.to_string()));
                    }
                }
            }
        }
    }
}

async fn persist<T, F, W>(write: &F, items: Arc<[T]>) -> store::Result<Vec<bool>>
where
    F: Fn(Arc<[T]>) -> W,
    W: Future<Output = store::Result<Vec<bool>>>,
{
    let mut tries = 1;
    loop {
        match write(items.clone()).await {
            Err(e) if e.is_transient() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}
