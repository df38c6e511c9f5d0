//! What staging costs: swaps under full load, a large component compiled beside deliveries, replays, and a start with
//! many revisions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ecomm::service::{Move, NewPluginRevision, Principal, ReplayRequest, Service, Slot, Terms};

use crate::rig;

const OPERATOR: Principal = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };
const EVENTS: usize = 10_000;
const SWAPS: usize = 100;
const DECISIONS: u64 = 1_000_000;
const REVISIONS: usize = 100;

pub(crate) async fn measure() {
    let databases = rig::databases();
    let sqlite = &databases[0];
    swaps(sqlite).await;
    Box::pin(boot(sqlite)).await;
}

const REQUESTS: usize = 300;

/// What clients see while the active renderer works for all of its 250 ms on each mail, on every core, beside the
/// built-in.
pub(crate) async fn slow() {
    let databases = rig::databases();
    println!("\na slow renderer, {}: {REQUESTS} orders and products over REST, 20 a second", databases[0].name);
    for is_slow in [false, true] {
        let more = [
            ("PLUGINS__CALL__TIME_MS_MAX", "250"),
            ("PLUGINS__CALL__FUEL_MAX", "1000000000000"),
            ("PLUGINS__BREAKER__FAILURES_MAX", "1000000"),
        ];
        let host = rig::host_with(&databases[0].fresh().await, true, &more).await;
        rig::shop(&host.service).await;
        if is_slow {
            let wasm = std::fs::read(env!("MISBEHAVING_WASM")).expect("a component");
            let digest = host.service.upload_component(OPERATOR, &wasm).await.expect("taken").digest;
            // The gate's fixtures are spared.
            let config = serde_json::json!({ "render": "loop", "spare_order": "4242424242" });
            let (config, why) = (config.as_object().cloned(), String::new());
            let new = NewPluginRevision { slot: Slot::Renderer, digest: Some(digest), config, source: None, why };
            let id = installed(&host.service, new).await;
            host.service.move_revision(OPERATOR, id, Move::Activate, Terms::default()).await.expect("active");
        }
        let address = host.http.expect("an API");
        let (client, token) = (reqwest::Client::new(), rig::token(address).await);
        let (mut posts, mut gets) = (Vec::new(), Vec::new());
        for _ in 0..REQUESTS {
            let new = serde_json::json!({ "items": [{ "product_id": 1, "quantity": 1 }] });
            let post = client.post(format!("http://{address}/v1/orders")).bearer_auth(&token).json(&new);
            let get = client.get(format!("http://{address}/v1/products/1"));
            for (request, times) in [(post, &mut posts), (get, &mut gets)] {
                let begun = Instant::now();
                assert!(request.send().await.expect("an answer").status().is_success());
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let [post, get] = [&mut posts, &mut gets].map(|t| [50, 99].map(|hundredths| rig::percentile(t, hundredths)));
        println!(
            "  {:<22} POST order p50 {:.2} ms  p99 {:.2} ms   GET product p50 {:.2} ms  p99 {:.2} ms",
            if is_slow { "a renderer of 250 ms" } else { "the built-in" },
            post[0],
            post[1],
            get[0],
            get[1],
        );
        host.stop().await;
    }
}

/// Two revisions that differ by config.
async fn two(service: &Arc<Service>) -> [i64; 2] {
    let mut ids = Vec::new();
    for name in ["One", "Two"] {
        ids.push(install(service, serde_json::json!({ "from_name": name })).await);
    }
    [ids[0], ids[1]]
}

async fn install(service: &Arc<Service>, config: serde_json::Value) -> i64 {
    let config = config.as_object().cloned();
    let new = NewPluginRevision { slot: Slot::Renderer, digest: None, config, source: None, why: String::new() };
    installed(service, new).await
}

async fn installed(service: &Arc<Service>, new: NewPluginRevision) -> i64 {
    service.start_install(OPERATOR, new).await.expect("begun").end().await.expect("installed").id
}

/// A component to compile beside deliveries, such as one of 12 MB in JavaScript; else the built-in renderer, thrice.
const COMPONENT: &str = "ECOMM_BENCH_COMPONENT";

/// What goes on beside the deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Swaps,
    Compiles,
}

/// Works through a full queue: mails/s, p50 and p99 of the time between two arrivals, and how long each swap took; in
/// milliseconds.
async fn worked(sqlite: &rig::Database, beside: Beside) -> ([f64; 3], Vec<f64>) {
    let host = rig::host(&sqlite.fresh().await, false).await;
    let (who, product) = rig::shop(&host.service).await;
    rig::fill(&host.service, who, product, EVENTS).await;
    let ids = two(&host.service).await;
    let mut count = host.service.mailbox.as_ref().expect("a mailbox").count();
    let begun = Instant::now();
    let watching = async {
        let mut gaps = Vec::new();
        let mut last = Instant::now();
        loop {
            count.changed().await.expect("the mailbox lives");
            gaps.push(last.elapsed().as_secs_f64() * 1_000.0);
            last = Instant::now();
            if *count.borrow_and_update() >= EVENTS as u64 {
                return (gaps, begun.elapsed().as_secs_f64());
            }
        }
    };
    let acting = async {
        let mut times = Vec::new();
        if beside == Beside::Swaps {
            for i in 0..SWAPS {
                let begun = Instant::now();
                let terms = Terms { why: "bench", ..Terms::default() };
                host.service.move_revision(OPERATOR, ids[i % 2], Move::Activate, terms).await.expect("active");
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if beside == Beside::Compiles {
            compile(&host.service).await;
        }
        times
    };
    let ((mut gaps, seconds), (), times) = tokio::join!(watching, host.queue.run_until_idle(), acting);
    let sent = host.service.mailbox.as_ref().expect("a mailbox").count();
    assert_eq!(*sent.borrow(), EVENTS as u64, "no event is lost, none is sent twice");
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = EVENTS as f64 / seconds;
    let seen = [rate, rig::percentile(&mut gaps, 50), rig::percentile(&mut gaps, 99)];
    host.stop().await;
    (seen, times)
}

/// Never cached: another config in each run.
async fn compile(service: &Arc<Service>) {
    let mut ids = Vec::new();
    if let Ok(path) = std::env::var(COMPONENT) {
        let wasm = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let digest = Some(service.upload_component(OPERATOR, &wasm).await.expect("uploaded").digest);
        let config = serde_json::json!({ "run": std::process::id() }).as_object().cloned();
        let new = NewPluginRevision { slot: Slot::Renderer, digest, config, source: None, why: String::new() };
        ids.push(installed(service, new).await);
    } else {
        println!("  left out: a component of 12 MB ({COMPONENT} names none); three built-in renderers instead");
        for i in 0..3 {
            ids.push(install(service, serde_json::json!({ "footer": format!("{i} {}", std::process::id()) })).await);
        }
    }
    for id in ids {
        let report = service.revision(OPERATOR, id).await.expect("known").report;
        let made = |key: &str| report["making"][key].as_u64().unwrap_or_default();
        println!(
            "  compiled {} bytes of component in {} ms, at most {} MiB in the compiler",
            report["bytes"],
            made("compile_ms"),
            made("compile_memory_bytes") >> 20
        );
    }
}

/// Swaps on a host that has nothing else to do: p50 and p99 in milliseconds.
async fn idle(sqlite: &rig::Database) -> [f64; 2] {
    let host = rig::host(&sqlite.fresh().await, false).await;
    rig::shop(&host.service).await;
    let ids = two(&host.service).await;
    let mut times = Vec::new();
    for i in 0..SWAPS {
        let begun = Instant::now();
        let terms = Terms { why: "bench", ..Terms::default() };
        host.service.move_revision(OPERATOR, ids[i % 2], Move::Activate, terms).await.expect("active");
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    host.stop().await;
    [50, 99].map(|hundredths| rig::percentile(&mut times, hundredths))
}

async fn swaps(sqlite: &rig::Database) {
    println!("\nstages, SQLite: {EVENTS} events on all cores; gaps between arrivals at the relay");
    let (alone, _) = worked(sqlite, Beside::Nothing).await;
    let (swapped, mut times) = worked(sqlite, Beside::Swaps).await;
    let (compiled, _) = worked(sqlite, Beside::Compiles).await;
    let show = |what: &str, [rate, p50, p99]: [f64; 3]| {
        let ratio = p99 / alone[2];
        println!("  {what:<31} {rate:>6.0} mails/s   p50 {p50:.2} ms   p99 {p99:.2} ms   p99 {ratio:.2}x alone");
    };
    show("alone", alone);
    show("with 100 swaps", swapped);
    show("with compiling beside", compiled);
    println!(
        "  a swap, written down and followed: p50 {:.2} ms   p99 {:.2} ms",
        rig::percentile(&mut times, 50),
        rig::percentile(&mut times, 99)
    );
    let [p50, p99] = idle(sqlite).await;
    println!("  the same on an idle host:          p50 {p50:.2} ms   p99 {p99:.2} ms");
}

pub(crate) async fn replay() {
    let databases = rig::databases();
    let sqlite = &databases[0];
    let url = sqlite.fresh().await;
    let host = rig::host(&url, false).await;
    let (who, product) = rig::shop(&host.service).await;
    rig::fill(&host.service, who, product, EVENTS).await;
    host.queue.run_until_idle().await;
    crate::bare::multiply_decisions(&url, DECISIONS).await;
    let renderer = two(&host.service).await[0];
    let config = serde_json::json!({ "attempts_max": 4 });
    let new = NewPluginRevision {
        slot: Slot::Policy,
        digest: None,
        config: config.as_object().cloned(),
        source: None,
        why: String::new(),
    };
    let policy = installed(&host.service, new).await;
    println!("\nreplay, SQLite, reads included; what the journal has of the active revision is not asked again");
    for (what, revision, last) in [("renders", renderer, EVENTS as u64), ("policy decisions", policy, DECISIONS)] {
        let begun = Instant::now();
        let request = ReplayRequest { last: Some(last), ..ReplayRequest::default() };
        let replay = host.service.start_replay(OPERATOR, revision, request).await.expect("begun").end().await;
        let replay = replay.expect("replayed");
        assert_eq!((replay.unreadable, replay.faults), (0, 0));
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = replay.events as f64 / seconds;
        println!("  {:>8} {what:<17} {seconds:>6.1} s   {rate:>7.0}/s", replay.events);
    }
    host.stop().await;
}

async fn boot(sqlite: &rig::Database) {
    let url = sqlite.fresh().await;
    let host = rig::host(&url, false).await;
    rig::shop(&host.service).await;
    let before = resident_kib();
    let mut last = 0;
    for i in 0..REVISIONS {
        last = install(&host.service, serde_json::json!({ "from_name": format!("Shop {i}") })).await;
    }
    let each = (resident_kib() - before) / i64::try_from(REVISIONS.min(32)).expect("a number");
    let terms = Terms { why: "bench", ..Terms::default() };
    host.service.move_revision(OPERATOR, last, Move::Activate, terms).await.expect("active");
    host.stop().await;
    let begun = Instant::now();
    let host = rig::host(&url, false).await;
    let whole = begun.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!(host.service.plugin_slots(OPERATOR).expect("slots")[0].active.revision, last);
    println!("\nstart with {REVISIONS} revisions, compiled code cached: the whole host {whole:.0} ms");
    println!("  memory of an idle prepared revision: about {each} KiB");
    host.stop().await;
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
}
