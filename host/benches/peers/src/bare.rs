//! The simplest fast queue: one table, and loops that lock a batch, do it and delete it.
//!
//! It has no retries, no schedule, no priorities, no notifications, no journal of attempts and no lanes: one mail that
//! fails ends it, one slow mail holds its whole batch, and a crash sends again up to a batch of each loop.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::mail::Order;
use crate::{Peer, Work};

/// So that there is always a batch to send while another is fetched or deleted.
const LOOPS: usize = 5;

pub(crate) struct Bare {
    pool: PgPool,
    work: Work,
}

impl Peer for Bare {
    const NAME: &str = "bare";
    const CONFIG: &str = "5 loops, batches of 500 in one transaction: lock, do, delete";
    const LEFT: &str = "select count(*) from jobs";

    async fn fill(pool: &PgPool, orders: Vec<Order>) {
        let create = "create table jobs (id bigint primary key generated always as identity, payload text not null)";
        sqlx::query(create).execute(pool).await.expect("a table");
        let payloads: Vec<_> = orders.iter().map(|order| serde_json::to_string(order).expect("JSON")).collect();
        let insert = sqlx::query("insert into jobs (payload) select unnest($1::text[])").bind(payloads);
        insert.execute(pool).await.expect("the jobs are added");
    }

    async fn ready(pool: &PgPool, work: Work, _: usize) -> Self {
        Self { pool: pool.clone(), work }
    }

    /// Ends by itself once the queue is empty.
    async fn run(self, _: Arc<Notify>) {
        let mut loops = JoinSet::new();
        for _ in 0..LOOPS {
            let (pool, work) = (self.pool.clone(), self.work.clone());
            loops.spawn(async move { while batch(&pool, &work).await.expect("the database works") {} });
        }
        loops.join_all().await;
    }
}

/// Whether there was anything to do.
async fn batch(pool: &PgPool, work: &Work) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let select = "select id, payload from jobs order by id limit 500 for update skip locked";
    let jobs: Vec<(i64, String)> = sqlx::query_as(select).fetch_all(&mut *transaction).await?;
    if jobs.is_empty() {
        return Ok(false);
    }
    let (mut ids, mut running) = (Vec::new(), JoinSet::new());
    for (id, payload) in jobs {
        ids.push(id);
        let work = work.clone();
        running.spawn(async move { work.run(&serde_json::from_str(&payload).expect("an order")).await });
    }
    running.join_all().await;
    sqlx::query("delete from jobs where id = any($1)").bind(ids).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
