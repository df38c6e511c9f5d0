//! `graphile_worker`, as its own benchmark of throughput runs it: local queues, and completions in batches. Of what its
//! documentation offers beside, a second local queue and fewer jobs at a time were faster here and are used.
//!
//! A job that is done is deleted: there is no journal of attempts, the error kept is the last one, and a crash leaves the
//! jobs of the local queue locked until a sweep finds them. There are no lanes: a job queue of its own, the nearest
//! thing, has one job at a time.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions, WorkerUtils,
};
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::mail::Order;
use crate::{Peer, Work};

const SCHEMA: &str = "graphile_worker";
/// These three as in its own benchmark.
const LOCAL_QUEUE: usize = 5_000;
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const COMPLETION_DELAY: Duration = Duration::from_millis(5);
/// One is fetched for while the other is worked on.
const LOCAL_QUEUES: usize = 2;
/// So that mails are rendered while the connections are busy.
const JOBS_PER_CONNECTION: usize = 2;

pub(crate) struct Graphile(Worker);

impl TaskHandler for Order {
    const IDENTIFIER: &'static str = "order";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        context.get_ext::<Work>().expect("the worker has it").run(&self).await;
        Ok::<(), String>(())
    }
}

impl Peer for Graphile {
    const NAME: &str = "graphile_worker";
    const CONFIG: &str = "2 local queues of 5000, 2 jobs per connection, completions batched for 5 ms";
    const LEFT: &str = "select count(*) from graphile_worker._private_jobs";

    async fn fill(pool: &PgPool, orders: Vec<Order>) {
        let utils = WorkerUtils::new(pool.clone(), SCHEMA);
        utils.migrate().await.expect("the tables are created");
        let spec = JobSpec::default();
        let jobs: Vec<_> = orders.into_iter().map(|order| (order, &spec)).collect();
        utils.add_jobs(&jobs).await.expect("the jobs are added");
    }

    async fn ready(pool: &PgPool, work: Work, connections: usize) -> Self {
        let options = WorkerOptions::default()
            .pg_pool(pool.clone())
            .schema(SCHEMA)
            .concurrency(JOBS_PER_CONNECTION * connections)
            .poll_interval(POLL_INTERVAL)
            .complete_job_batch_delay(COMPLETION_DELAY)
            .local_queue(LocalQueueConfig::default().with_size(LOCAL_QUEUE).with_queue_count(LOCAL_QUEUES))
            .add_extension(work)
            .define_job::<Order>();
        Self(options.init().await.expect("a worker"))
    }

    async fn run(self, stop: Arc<Notify>) {
        let stopped = async {
            stop.notified().await;
            self.0.request_shutdown();
        };
        let (ended, ()) = tokio::join!(self.0.run(), stopped);
        ended.expect("the worker works");
    }
}
