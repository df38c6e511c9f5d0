//! `apalis` with `apalis-postgres`: batches, several workers on one queue, and a task for each job.
//!
//! A job that is done stays in its table with its last result: there is no journal of attempts, and no lanes. A worker
//! fetches nothing while it records, hence more than one. Batches of 500, and fewer workers, were slower here.

use std::sync::Arc;

use ::apalis::prelude::{
    BoxDynError, Data, ParallelizeExt, TaskBuilder, WorkerBuilder, WorkerBuilderExt, WorkerContext,
};
use apalis_postgres::{Config, PostgresStorage};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::mail::Order;
use crate::{Peer, Work};

const QUEUE: &str = "orders";
const WORKERS: usize = 5;
const BATCH: usize = 2_000;
/// What one insertion takes.
const PUSHED_MAX: usize = 5_000;

pub(crate) struct Apalis {
    pool: PgPool,
    work: Work,
    connections: usize,
}

async fn handle(order: Order, work: Data<Work>) -> Result<(), BoxDynError> {
    work.run(&order).await;
    Ok(())
}

impl Peer for Apalis {
    const NAME: &str = "apalis";
    const CONFIG: &str = "5 workers, each batches of 2000 and a job per connection, in tasks, not locked twice";
    const LEFT: &str = "select count(*) from apalis.jobs where status <> 'Done'";

    async fn fill(pool: &PgPool, orders: Vec<Order>) {
        PostgresStorage::setup(pool).await.expect("the tables are created");
        let task = |order| TaskBuilder::new(serde_json::to_vec(order).expect("JSON")).build();
        for orders in orders.chunks(PUSHED_MAX) {
            let mut connection = pool.acquire().await.expect("a connection");
            let tasks = orders.iter().map(task).collect();
            apalis_postgres::queries::push_tasks(&mut *connection, QUEUE, tasks).await.expect("the jobs are added");
        }
    }

    async fn ready(pool: &PgPool, work: Work, connections: usize) -> Self {
        Self { pool: pool.clone(), work, connections }
    }

    async fn run(self, stop: Arc<Notify>) {
        let (mut contexts, mut workers) = (Vec::new(), JoinSet::new());
        for n in 0..WORKERS {
            // Fetching locks already; the second lock is for what is shown of a job.
            let config = Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false);
            let context = WorkerContext::new(&format!("worker-{n}"));
            let worker = WorkerBuilder::new(&context)
                .backend(PostgresStorage::<Order>::new(&self.pool).with_config(config))
                .concurrency(self.connections)
                .parallelize(tokio::spawn)
                .data(self.work.clone())
                .build(handle);
            workers.spawn(worker.run());
            contexts.push(context);
        }
        stop.notified().await;
        for context in contexts {
            context.stop().expect("the worker runs");
        }
        while let Some(ended) = workers.join_next().await {
            ended.expect("no panic").expect("the worker works");
        }
    }
}
