//! `cargo bench`: what the host costs, beside what it is compared with, in one run. `cargo bench -- render` runs one
//! part; the parts are render, policy, message, queue, depth, delivery, fairness, tracing, relay, retention, api, stages, slow
//! and replay. `cargo bench -- api MariaDB` measures it with one database. `PostgreSQL` and `MariaDB` are measured where
//! `ECOMM_TEST_POSTGRES_URL` and `ECOMM_TEST_MARIADB_URL` name a server.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it prints what it timed")]

mod api;
mod bare;
mod collector;
mod contract;
mod delivery;
mod depth;
mod fairness;
mod message;
mod plugin;
mod queue;
mod relay;
mod retention;
mod rig;
mod stages;

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // libtest's flag, which cargo passes on.
    let mut wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    wanted.retain(|word| !rig::DATABASES.iter().any(|(name, _)| name == word));
    let asked = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    let runtime = ecomm::host::runtime().expect("a runtime");
    runtime.block_on(async {
        if asked("render") {
            plugin::render().await;
        }
        if asked("policy") {
            plugin::policy().await;
        }
        if asked("message") {
            message::measure();
        }
        if asked("queue") {
            Box::pin(queue::measure()).await;
        }
        if asked("depth") {
            Box::pin(depth::measure()).await;
        }
        if asked("delivery") {
            Box::pin(delivery::measure()).await;
        }
        if asked("fairness") {
            Box::pin(fairness::measure()).await;
        }
        if asked("relay") {
            relay::measure().await;
        }
        if asked("retention") {
            Box::pin(retention::measure()).await;
        }
        if asked("tracing") {
            Box::pin(delivery::tracing()).await;
        }
        if asked("api") {
            Box::pin(api::measure()).await;
        }
        if asked("stages") {
            Box::pin(stages::measure()).await;
        }
        if asked("slow") {
            Box::pin(stages::slow()).await;
        }
        if asked("replay") {
            plugin::compute().await;
            stages::replay().await;
        }
    });
}
