//! What the sandbox costs: a render of five lines and a policy's decision, against native code.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::metrics::Metrics;
use ecomm::notification::{OrderStatus, Relay, Request, Situation};
use ecomm::plugin::{Code, Plugins, engine_config, format};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wizer::Wizer;

use memory::Memory;

use crate::{contract, rig};

#[path = "../src/plugin/memory.rs"]
mod memory;

const ROUNDS: usize = 40;
const CALLS: usize = 500;
/// Calls of one instance, where it is kept.
const REUSED: usize = 100;
/// What the renderer is asked with.
const REQUEST: Request<'static> = Request { ab_variant: None, seed: 7 };

/// The same component on a bare engine, for what the host does not do: keep instances, go without fuel or snapshot.
pub(crate) mod bare {
    wasmtime::component::bindgen!({ path: "../wit/v1", world: "renderer-plugin" });
}
use bare::{RendererPlugin, RendererPluginPre};

struct State(Option<WasiCtx>, ResourceTable);

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.0.get_or_insert_with(|| WasiCtx::builder().build()), table: &mut self.1 }
    }
}

impl bare::ecomm::notification::log::Host for State {
    fn write(&mut self, _: bare::ecomm::notification::log::Level, _: String) {}
}

fn store(engine: &Engine) -> Store<State> {
    let mut store = Store::new(engine, State(None, ResourceTable::new()));
    store.set_epoch_deadline(1_000_000);
    store
}

fn linked(engine: &Engine, wasm: &[u8]) -> RendererPluginPre<State> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("wasi");
    bare::ecomm::notification::log::add_to_linker::<_, HasSelf<State>>(&mut linker, |s| s).expect("log");
    helpers(&mut linker).expect("the helpers");
    let component = Component::new(engine, wasm).expect("compiles");
    let pre: InstancePre<State> = linker.instantiate_pre(&component).expect("links");
    RendererPluginPre::new(pre).expect("a renderer")
}

/// The host's own, without the host.
fn helpers(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use bare::ecomm::format::{text, zone};
    let mut texts = linker.instance("ecomm:format/text@1.0.0")?;
    texts.func_wrap("money", |_, (locale, amount, currency, decimals): (String, i64, String, u8)| {
        Ok((format::money(&locale, amount, &currency, decimals),))
    })?;
    texts.func_wrap("date", |_, (locale, day, length): (String, text::Day, text::Length)| {
        Ok((format::date(&locale, (day.year, day.month, day.day), length as u8),))
    })?;
    texts.func_wrap("is-right-to-left", |_, (_,): (String,)| Ok((false,)))?;
    texts.func_wrap("time-of-day", |_, (_, _, _): (String, u8, u8)| -> wasmtime::Result<(String,)> {
        unreachable!("only mails about accounts say the time of day")
    })?;
    let mut zones = linker.instance("ecomm:format/zone@1.0.0")?;
    zones.func_wrap("civil-time", |_, (at, time_zone): (u64, String)| {
        let (year, month, day) = format::day(at, &time_zone);
        Ok((zone::Civil { year, month, day, hour: 0, minute: 0, second: 0 },))
    })
}

/// The host's formats, called natively.
struct Formats;

impl renderer::Formats for Formats {
    fn money(&self, locale: &str, m: &renderer::contract::Money) -> String {
        format::money(locale, m.amount, &m.currency, m.exponent)
    }

    fn date(&self, locale: &str, at: &renderer::contract::Moment, time_zone: &str) -> String {
        format::date(locale, format::day(at.unix_ms, time_zone), 2)
    }

    fn time(&self, _: &str, _: &renderer::contract::Moment, _: &str) -> String {
        unreachable!("only mails about accounts say the time of day")
    }

    fn utc(&self, at: &renderer::contract::Moment) -> String {
        let (year, month, day) = format::day(at.unix_ms, "UTC");
        format!("{year:04}-{month:02}-{day:02}")
    }

    fn is_right_to_left(&self, _: &str) -> bool {
        false
    }
}

async fn snapshot(engine: &Engine, wasm: &[u8]) -> Vec<u8> {
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(wasm).expect("instrumented");
    let pre = linked(engine, &instrumented);
    let mut store = store(engine);
    let raw = pre.instance_pre().instantiate(&mut store).expect("instantiated");
    let plugin = RendererPlugin::new(&mut store, &raw).expect("a renderer");
    plugin.ecomm_notification_plugin().call_configure(&mut store, "{}").expect("ran").expect("taken");
    let mut state = Memory { store: &mut store, instance: raw };
    wizer.snapshot_component(&context, &mut state).await.expect("a snapshot")
}

async fn plugins() -> Plugins {
    let secret = (format!("{PREFIX}AUTH__SECRET"), "a secret for measurements, long enough".to_owned());
    let cache = (format!("{PREFIX}PLUGINS__CACHE_PATH"), String::new());
    let compiler = (format!("{PREFIX}PLUGINS__COMPILER__PROGRAM"), env!("CARGO_BIN_EXE_ecomm").to_owned());
    let config = Config::load(None, [secret, cache, compiler]).expect("settings");
    let prepared = ecomm::plugin::prepare(config.plugins, b"key", &[], &Clock::system(), Metrics::default()).await;
    let numbered = prepared.expect("built-ins").numbered(async |revision| Ok::<_, Infallible>(revision)).await;
    numbered.expect("plugins")
}

fn native() -> (renderer::Renderer, renderer::contract::Notification) {
    let config = renderer::Config::parse("{}").expect("a config");
    (renderer::Renderer::new(&config).expect("templates"), contract::native::notification(&rig::notification().payload))
}

fn bare_notification() -> bare::ecomm::notification::types::Notification {
    contract::bare::notification(&rig::notification().payload)
}

/// The time of one call in microseconds, the median of `CALLS`.
fn one(mut call: impl FnMut()) -> f64 {
    let times = (0..CALLS).map(|_| {
        let begun = Instant::now();
        call();
        begun.elapsed().as_secs_f64() * 1e6
    });
    rig::median(times.collect())
}

async fn one_async(mut call: impl AsyncFnMut()) -> f64 {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        call().await;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    rig::median(times)
}

pub(crate) async fn render() {
    let wasm = include_bytes!(concat!(env!("OUT_DIR"), "/renderer.wasm"));
    let engine = Engine::new(&engine_config(8, 64 << 20, Code::Live)).expect("an engine");
    let (plain, shot) = (linked(&engine, wasm), linked(&engine, &snapshot(&engine, wasm).await));
    let (native, own) = native();
    let n = bare_notification();
    let request =
        bare::exports::ecomm::notification::renderer::Request { ab_variant: None, seed: 7, attributes: Vec::new() };
    let host = plugins().await;
    let revision = host.routing().renderer.active.clone();
    let event = rig::notification();

    let fresh = |pre: &RendererPluginPre<State>, configure: bool| {
        let mut store = store(&engine);
        let plugin = pre.instantiate(&mut store).expect("instantiated");
        if configure {
            plugin.ecomm_notification_plugin().call_configure(&mut store, "{}").expect("ran").expect("taken");
        }
        plugin.ecomm_notification_renderer().call_render(&mut store, &n, &request).expect("ran").expect("rendered");
    };
    let mut rounds: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(one(|| {
            std::hint::black_box(native.render(&own, None, &Formats).expect("rendered"));
        }));
        // The default renderer hardly frees: it is made for one call.
        let mut kept: Vec<_> = (0..CALLS / REUSED).map(|_| store(&engine)).collect();
        let instances: Vec<_> = kept.iter_mut().map(|kept| shot.instantiate(kept).expect("instantiated")).collect();
        let mut calls = 0;
        rounds[1].push(one(|| {
            let (instance, kept) = (&instances[calls / REUSED], &mut kept[calls / REUSED]);
            calls += 1;
            instance.ecomm_notification_renderer().call_render(kept, &n, &request).expect("ran").expect("rendered");
        }));
        rounds[2].push(one(|| fresh(&shot, false)));
        rounds[3].push(one(|| fresh(&plain, true)));
        for (round, code) in [(4, Code::Live), (5, Code::Metered)] {
            rounds[round].push(
                one_async(async || {
                    host.render_by(code, &revision, &event, &REQUEST).await.expect("rendered");
                })
                .await,
            );
        }
    }
    println!("\nrender, five lines, HTML and text; medians of {ROUNDS} rounds of {CALLS} calls, interleaved");
    let names = [
        "native minijinja",
        "warm instance, epoch",
        "fresh from snapshot, epoch",
        "fresh without snapshot, epoch",
        "the host, live: fresh from snapshot, epoch, limiter, async, checks",
        "the host, metered: the same, and fuel",
    ];
    let base = rounds[0].clone();
    for (name, round) in names.iter().zip(rounds) {
        let ratio = rig::median(round.iter().zip(&base).map(|(a, b)| a / b).collect());
        println!("  {name:<68} {:>7.1} µs   {ratio:.2} x native", rig::median(round));
    }
}

fn situation() -> Situation {
    Situation {
        now: 1_768_000_400_000,
        seed: 42,
        attempts: 0,
        attempts_max: 25,
        queued_at: 1_768_000_360_000,
        first_failed_at: None,
        age_max_ms: 259_200_000,
        history: Vec::new(),
        relays: vec![Relay { name: "default".to_owned(), available: true }],
        domain_throttled_at: None,
        suppressed: None,
        channel: ecomm::notification::Channel::Mail,
        named_relay: None,
        newest_status: Some(OrderStatus::Pending),
        queued: Vec::new(),
    }
}

pub(crate) async fn policy() {
    let host = plugins().await;
    let (event, situation) = (Arc::new(rig::notification()), situation());
    let mut times = Vec::new();
    for _ in 0..ROUNDS * CALLS {
        let begun = Instant::now();
        let answer = host.admit_event(&event, &situation).await;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        assert!(answer.by.is_some(), "the component answered");
    }
    println!("\npolicy call, live: fresh from snapshot, epoch, limiter, async, checks, a brief lowered");
    println!("  p50 {:.2} µs   p99 {:.2} µs", rig::percentile(&mut times, 50), rig::percentile(&mut times, 99));
}

/// What all cores make of a replay when the database is left out.
pub(crate) async fn compute() {
    let host = Arc::new(plugins().await);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("\ncompute of a replay on {cores} cores, a five-line order, nothing read");
    for renders in [false, true] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS / 4 {
            let begun = Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..cores {
                let host = host.clone();
                tasks.spawn(async move {
                    let (event, situation, routing) = (Arc::new(rig::notification()), situation(), host.routing());
                    for _ in 0..CALLS * 4 {
                        if renders {
                            host.render_by(Code::Metered, &routing.renderer.active, &event, &REQUEST)
                                .await
                                .expect("rendered");
                        } else {
                            host.admit_by(Code::Metered, &routing.policy.active, &event, &situation)
                                .await
                                .expect("decided");
                        }
                    }
                });
            }
            tasks.join_all().await;
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            rates.push((cores * CALLS * 4) as f64 / begun.elapsed().as_secs_f64());
        }
        println!("  {:<17} {:>8.0}/s", if renders { "renders" } else { "policy decisions" }, rig::median(rates));
    }
}
