//! What the gate refuses, and that the old component serves on.

use std::path::Path;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::plugin::{Care, Code, Offline, Progress, Slot};
use serde_json::{Value, json};

use crate::app::{App, environment, sqlite};
use crate::harness::tests;

tests! {
    once {
        what_is_not_a_fitting_component_is_refused
        a_component_that_fails_in_configure_is_refused
        a_reload_serves_at_once_and_is_for_admins
        a_bad_component_does_not_keep_the_host_from_starting
        swaps_under_traffic_lose_nothing
        what_would_have_been_enough_is_said
        both_codes_say_the_same
        a_policy_names_the_relays_of_its_host
        a_foreign_file_in_the_cache_is_not_loaded
        what_the_compiler_would_chew_on_for_ever_is_refused_and_traffic_does_not_notice
    }
}

/// A host whose renderer comes from files that a test writes.
async fn host(more: &[(&str, &str)]) -> App {
    let database = sqlite().await;
    let wasm = database.folder.path().join("renderer.wasm").display().to_string();
    let config = database.folder.path().join("renderer.json").display().to_string();
    std::fs::copy(env!("MISBEHAVING_WASM"), &wasm).unwrap();
    std::fs::write(&config, "{}").unwrap();
    let mut settings =
        vec![("PLUGINS__RENDERER__PATH", wasm.as_str()), ("PLUGINS__RENDERER__CONFIG_PATH", config.as_str())];
    settings.extend_from_slice(more);
    App::with(database, &settings).await
}

fn write(app: &App, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(app.database.folder.path().join(name), bytes).unwrap();
}

async fn reload(app: &App) -> (u16, Value) {
    let (status, answer) = app.client.call("POST", "/v1/plugins/renderer/reload", &app.admin, None).await;
    (status.as_u16(), answer)
}

/// What the gate found about the active renderer.
pub async fn report(app: &App) -> Value {
    let active = app.client.ok("GET", "/v1/plugins", &app.admin, None).await[0]["active"]["revision"].clone();
    app.client.ok("GET", &format!("/v1/plugins/revisions/{active}"), &app.admin, None).await["report"].clone()
}

/// Refused with this code and these words; the revision that served serves on and renders.
async fn refuses(app: &App, code: &str, words: &[&str]) {
    let before = app.client.ok("GET", "/v1/plugins", &app.admin, None).await[0]["active"]["revision"].clone();
    let (status, problem) = reload(app).await;
    assert_eq!((status, problem["type"].as_str()), (422, Some(format!("urn:ecomm:problem:plugin:{code}").as_str())));
    for word in words {
        assert!(problem["detail"].as_str().unwrap().contains(word), "{word} is missing in {problem}");
    }
    let plugins = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
    assert_eq!(plugins[0]["active"]["revision"], before);
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects().last().unwrap(), &format!("Order {order}"));
}

async fn what_is_not_a_fitting_component_is_refused() {
    let app = host(&[("PLUGINS__COMPONENT_BYTES_MAX", "3000000")]).await;
    for (bytes, words) in [
        (&b"(component)"[..], &["does not begin like one"][..]),
        (b"", &["does not begin like one"]),
        (b"\0asm\x01\0\0\0", &["core module", "wasm-tools component new"]),
    ] {
        write(&app, "renderer.wasm", bytes);
        refuses(&app, "not_a_component", words).await;
    }
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    write(&app, "renderer.wasm", compiled);
    refuses(&app, "not_a_component", &["compiled code", "never taken"]).await;

    write(&app, "renderer.wasm", vec![0; 3_000_001]);
    refuses(&app, "too_large", &["3000001", "3000000"]).await;

    write(&app, "renderer.wasm", b"\0asm\x0d\0\x01\0\xff\xff");
    refuses(&app, "compile", &[]).await;

    write(&app, "renderer.wasm", b"\0asm\x0d\0\x01\0");
    refuses(&app, "contract", &["must export ecomm:notification/renderer@1.0.0", "exports nothing"]).await;

    // Another major, as an author would have built it: the same bytes with another version in every name.
    let wasm = std::fs::read(env!("MISBEHAVING_WASM")).unwrap();
    write(&app, "renderer.wasm", replaced(&wasm, b"@1.0.0", b"@2.0.0"));
    refuses(&app, "contract", &["@2.0.0", "this host offers ecomm:notification@1.0.0"]).await;

    // What no host of ours offers is told by its name, before anything is compiled.
    let foreign =
        wasm.windows(9).position(|w| w == b"wasi:cli/").map(|_| everywhere(&wasm, b"wasi:cli/", b"wasi:xyz/"));
    write(&app, "renderer.wasm", foreign.unwrap());
    refuses(&app, "contract", &["imports \"wasi:xyz/", "does not offer", "--disable all"]).await;

    std::fs::remove_file(app.database.folder.path().join("renderer.wasm")).unwrap();
    refuses(&app, "unreadable", &["renderer.wasm"]).await;
    app.end().await;
}

/// Every occurrence replaced by something of the same length.
fn everywhere(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(from.len()).position(|w| w == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// A budget that is too small is told with the one that would do.
async fn what_would_have_been_enough_is_said() {
    let database = sqlite().await;
    let more = [("PLUGINS__CALL__FUEL_MAX", "10000"), ("PLUGINS__CALL__FUEL_PER_LINE", "0")];
    let config = Config::load(None, environment(&database, &more)).unwrap();
    let wasm = std::fs::read(env!("MISBEHAVING_WASM")).unwrap();
    let offline = Offline::new(&config.plugins, &Clock::system(), &[]).unwrap();
    let said =
        offline.admit(Slot::Renderer, Some(wasm.into()), "{}".to_owned(), Care::Gate, &Progress::default()).await;
    let said = said.unwrap_err().to_string();
    assert!(
        said.contains("needs 0.1 M of 0.1 M fuel: plugins.call.fuel_max + 2 x plugins.call.fuel_per_line"),
        "{said}"
    );
}

/// A policy may name the relays of the host that it is to serve on, and no others.
/// What a replay shows of metered code is what live code does.
async fn both_codes_say_the_same() {
    let app = App::start(sqlite().await).await;
    let plugins = &app.host.service.plugins;
    let routing = plugins.routing();
    let (renderer, policy) = (&routing.slot(Slot::Renderer).active, &routing.slot(Slot::Policy).active);
    for (name, _) in ecomm::plugin::samples() {
        let (n, situation) = crate::guests::asked("2026-10-24T21:00:00Z", name, "throttled");
        let request = ecomm::notification::Request { ab_variant: None, seed: 7 };
        let metered = plugins.render_by(Code::Metered, renderer, &n, &request).await.unwrap();
        let live = plugins.render_by(Code::Live, renderer, &n, &request).await.unwrap();
        assert_eq!(metered.0, live.0, "{name}");
        assert!(metered.1.fuel > 10_000 && live.1.fuel == 0, "{:?} {:?}", metered.1, live.1);
        let metered = plugins.admit_by(Code::Metered, policy, &n, &situation).await.unwrap();
        let live = plugins.admit_by(Code::Live, policy, &n, &situation).await.unwrap();
        assert_eq!(metered.0, live.0, "{name}");
    }
    app.end().await;
}

async fn a_policy_names_the_relays_of_its_host() {
    let relay = |name: &str| format!(r#"{{ name = "{name}", host = "127.0.0.1", port = 9, tls = "none" }}"#);
    for (name, status) in [("nowhere", 201), ("elsewhere", 422)] {
        let relays = format!("[{}, {}]", relay("main"), relay(name));
        let app = App::with(sqlite().await, &[("MAIL__RELAYS", &relays)]).await;
        let digest = crate::stages::upload(&app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
        let config = json!({ "admit": "unknown_relay", "on_failure": "unknown_relay" });
        let new = json!({ "slot": "policy", "digest": digest, "config": config });
        let (answered, problem) = app.client.call("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
        assert_eq!(answered.as_u16(), status, "{problem}");
        app.end().await;
    }
}

/// Every occurrence replaced by something of the same length, but where it names other packages.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for i in 0..bytes.len() - from.len() {
        let ours = bytes[..i].windows(6).rev().take(20).any(|w| w == b"ecomm:");
        if bytes[i..].starts_with(from) && ours {
            bytes[i..i + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

async fn a_component_that_fails_in_configure_is_refused() {
    let more = [("PLUGINS__CONFIGURE__TIME_MS_MAX", "500"), ("PLUGINS__CONFIGURE__FUEL_MAX", "100000000000")];
    let app = host(&more).await;
    for (config, code, words) in [
        ("not JSON", "config", &["refused its config"][..]),
        (r#"{"colour": 1}"#, "config", &["colour"]),
        (r#"{"configure": "error"}"#, "config", &["/delay_ms: refused as asked"]),
        (r#"{"configure": "loop"}"#, "configure", &["deadline", "500 ms", "plugins.configure.time_ms_max"]),
        (r#"{"configure": "trap"}"#, "configure", &["trap"]),
        (r#"{"configure": "panic"}"#, "configure", &["the panic that was asked for"]),
        (r#"{"configure": "hog_memory"}"#, "configure", &["memory", "plugins.configure.memory_bytes_max"]),
        (r#"{"render": "loop"}"#, "fixture", &["10 times as much is not enough either"]),
        (r#"{"render": "trap"}"#, "fixture", &["the fixture \"order-placed\"", "trap"]),
        (r#"{"render": "inject_header"}"#, "fixture", &["bad_output", "line break"]),
    ] {
        write(&app, "renderer.json", config);
        refuses(&app, code, words).await;
    }
    app.end().await;
}

async fn a_reload_serves_at_once_and_is_for_admins() {
    let app = host(&[]).await;
    write(&app, "renderer.json", r#"{"render": "behave"}"#);
    let (status, slot) = reload(&app).await;
    assert_eq!(status, 200);
    let report = report(&app).await;
    assert_eq!(report["snapshotted"], true);
    assert!(report["trials"].as_array().unwrap().len() > 15);
    // What the budgets and the pool are asked for.
    for (key, most) in [("fuel_percent", 100.0), ("memory_percent", 100.0), ("time_percent", 1_000.0)] {
        let share = report["shares"][key].as_f64().unwrap();
        assert!((0.0..most).contains(&share), "{key}: {share}");
    }
    assert!(report["core_instances"].as_u64().unwrap() >= 1 && report["memories"] == 1, "{report}");
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["journal"][0]["renderer_revision"], slot["active"]["revision"]);
    let (status, _) = app.client.call("POST", "/v1/plugins/renderer/reload", &app.customer, None).await;
    assert_eq!(status.as_u16(), 403);
    let (status, _) = app.client.call("POST", "/v1/plugins/nothing/reload", &app.admin, None).await;
    assert_eq!(status.as_u16(), 404);
    app.end().await;
}

async fn a_bad_component_does_not_keep_the_host_from_starting() {
    let mut app = App::with(sqlite().await, &[("PLUGINS__RENDERER__PATH", "/nowhere/renderer.wasm")]).await;
    assert_eq!(app.host.prepared().await.len(), 1);
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.subjects(), [format!("Your order {order} at My Shop")]);
    app.end().await;
}

async fn swaps_under_traffic_lose_nothing() {
    let app = host(&[]).await;
    for _ in 0..40 {
        app.order().await;
    }
    let swapping = async {
        for i in 0..6 {
            write(&app, "renderer.json", json!({ "delay_ms": i % 2 }).to_string());
            assert_eq!(reload(&app).await.0, 200);
        }
    };
    tokio::join!(app.drain(), swapping);
    assert_eq!(app.mailbox.messages().len(), 40);
    assert!(app.states().await.iter().all(|s| s == "sent"));
    assert_eq!(app.database.number("select count(*) from notification_attempts where kind = 'fault'").await, 0);
    app.end().await;
}

async fn a_foreign_file_in_the_cache_is_not_loaded() {
    let database = sqlite().await;
    let cache = database.folder.path().join("cache");
    let cache_path = cache.display().to_string();
    let app = App::with(database, &[("PLUGINS__CACHE_PATH", &cache_path)]).await;
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect::<Vec<_>>();
    let is_cached = async |app: &App| {
        let new = json!({ "slot": "renderer", "config": { "from_name": "Cached" } });
        app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["report"]["cached"] == true
    };
    assert!(!is_cached(&app).await);
    let compiled = files(&cache).iter().filter(|f| f.extension().is_some_and(|e| e == "compiled")).count();
    assert_eq!(compiled, 1, "the built-in components come compiled: {:?}", files(&cache));
    for file in files(&cache) {
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let again = App::with(sqlite().await, &[("PLUGINS__CACHE_PATH", &cache_path)]).await;
    assert!(!is_cached(&again).await);
    again.end().await;
    // Compiled anew, it is ours again.
    let third = App::with(sqlite().await, &[("PLUGINS__CACHE_PATH", &cache_path)]).await;
    assert!(is_cached(&third).await);
    third.end().await;
    app.end().await;
}

/// A component of one function that is never called, made to keep the compiler busy: so many bytes of tiny loops, or
/// of blocks, that read and write so many locals.
fn hard_to_compile(construct: u8, bytes: usize, locals: usize) -> Vec<u8> {
    fn leb128(mut n: usize, out: &mut Vec<u8>) {
        while n >= 0x80 {
            out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
            n >>= 7;
        }
        out.push(u8::try_from(n).unwrap());
    }
    fn sized(head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(head);
        leb128(body.len(), out);
        out.extend_from_slice(body);
    }
    let mut function = vec![1];
    leb128(locals, &mut function);
    function.push(0x7f);
    let mut n = 0_usize;
    while function.len() < bytes {
        n = n.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        // (loop|block) local.get a, br_if 0, local.get b, local.set c, end
        function.extend_from_slice(&[construct, 0x40, 0x20]);
        leb128((n >> 8) % locals, &mut function);
        function.extend_from_slice(&[0x0d, 0, 0x20]);
        leb128((n >> 9) % locals, &mut function);
        function.push(0x21);
        leb128((n >> 10) % locals, &mut function);
        function.push(0x0b);
    }
    function.push(0x0b);
    let (mut code, mut module) = (vec![1], b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".to_vec());
    sized(&[], &function, &mut code);
    sized(&[10], &code, &mut module);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    sized(&[1], &module, &mut component);
    // An instance without exports, under the names that a renderer's have: names are looked at first.
    component.extend([5, 3, 1, 1, 0]);
    let mut exports = vec![2];
    for name in ["ecomm:notification/renderer@1.0.0", "ecomm:notification/plugin@1.0.0"] {
        exports.push(0);
        sized(&[], name.as_bytes(), &mut exports);
        exports.extend([5, 0, 0]);
    }
    sized(&[11], &exports, &mut component);
    component
}

async fn what_the_compiler_would_chew_on_for_ever_is_refused_and_traffic_does_not_notice() {
    const LOOP: u8 = 0x03;
    const BLOCK: u8 = 0x02;
    // The limits are for what is to be refused; what serves meanwhile comes from the cache.
    host(&[]).await.end().await;
    for (limit, value, wasm, code) in [
        ("PLUGINS__COMPILER__TIME_MS_MAX", "8000", hard_to_compile(LOOP, 4_000_000, 30), "compile_time"),
        (
            "PLUGINS__COMPILER__MEMORY_BYTES_MAX",
            "1000000000",
            hard_to_compile(BLOCK, 400_000, 10_000),
            "compile_memory",
        ),
    ] {
        let app = host(&[(limit, value)]).await;
        write(&app, "renderer.wasm", wasm);
        let traffic = async {
            for _ in 0..5 {
                app.order().await;
            }
            app.drain().await;
            assert_eq!(app.mailbox.messages().len(), 5);
        };
        let ((status, problem), ()) = tokio::join!(reload(&app), traffic);
        assert_eq!(status, 422);
        assert_eq!(problem["type"], format!("urn:ecomm:problem:plugin:{code}"), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(value), "{problem}");
        app.end().await;
    }
}
