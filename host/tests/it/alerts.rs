//! The alerts that we ship, fired by real faults: Prometheus itself reads a host to which they happen. How long each waits is
//! shortened; that is what `alerts.test.yaml` tests.

use std::process::{Child, Command, Stdio};

use ecomm::mail::mailbox::{Act, Phase};
use futures_util::FutureExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::app::{App, eventually, reply, sqlite};
use crate::stages::{install, stage};
use crate::{harness, reports};

pub fn tests() -> Vec<Trial> {
    let name = "alerts::each_fires_by_a_real_fault";
    let is_there = Command::new("prometheus").arg("--version").output().is_ok_and(|out| out.status.success());
    if !is_there {
        return vec![harness::lacking(name.to_owned(), "prometheus is not installed".to_owned())];
    }
    vec![harness::trial(name, || harness::run(2, each_fires_by_a_real_fault().boxed_local()))]
}

/// Reads one host.
struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn of(app: &App) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = std::fs::read_to_string("../packaging/prometheus/alerts.yaml").unwrap();
        let rules = quicker(&rules);
        std::fs::write(folder.path().join("alerts.yaml"), rules).unwrap();
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms" },
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [{
                "job_name": "ecomm", "static_configs": [{ "targets": [app.host.metrics.unwrap().to_string()] }],
            }],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address, _folder: folder }
    }

    async fn fires(&self, app: &App, alert: &str) -> bool {
        let url = format!("http://{}/api/v1/alerts", self.address);
        let Ok(response) = app.client.http.get(url).send().await else { return false };
        let answer: Value = response.json().await.unwrap_or_default();
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|a| a["labels"]["alertname"] == alert && a["state"] == "firing")
    }
}

/// A second instead of each pause, ten instead of each range of minutes.
fn quicker(rules: &str) -> String {
    let line = |line: &str| {
        let kept = line.split_once("for: ").filter(|(before, _)| before.trim().is_empty());
        match kept {
            Some((before, _)) => format!("{before}for: 1s\n"),
            None => {
                ["[5m]", "[10m]", "[15m]", "[1h]", "[1d]"]
                    .iter()
                    .fold(line.to_owned(), |l, range| l.replace(range, "[10s]"))
                    + "\n"
            }
        }
    };
    rules.lines().map(line).collect()
}

/// A host with a relay that is away and one that is not.
async fn two_relays() -> App {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (dead, live) = (free(), free());
    let relay =
        |name: &str, port: u16| format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\" }}");
    let relays = format!("[{}, {}]", relay("first", dead), relay("second", live));
    let listen = format!("127.0.0.1:{live}");
    let more = [
        ("MAIL__RELAYS", relays.as_str()),
        ("MAILBOX__LISTEN", &listen),
        ("TELEMETRY__LISTEN", "127.0.0.1:0"),
        ("MAIL__RETURN_PATH", reports::BASE),
        ("INBOUND__LISTEN", "127.0.0.1:0"),
        crate::endpoints::HERE,
    ];
    App::with(sqlite().await, &more).await
}

/// What servers say of mails that a relay took.
async fn reported(app: &App, watching: &Prometheus) {
    for (alert, sample) in [("EcommMailsComeBack", "undecided"), ("EcommMailsAreUnwanted", "complained")] {
        assert!(!watching.fires(app, alert).await, "{alert} fires by itself");
        eventually(alert, async || {
            let (notification, back) = reports::sent(app).await;
            let said = reports::of(&notification, sample, &back);
            assert!(reports::report(app, "", &back, &said).await.starts_with("250"));
            app.database.execute("delete from mail_suppressions").await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            watching.fires(app, alert).await
        })
        .await;
    }
}

async fn each_fires_by_a_real_fault() {
    let app = two_relays().await;
    let plenty = Some(json!({ "stock": 1_000_000 }));
    app.client.ok("PATCH", &format!("/v1/products/{}", app.product), &app.admin, plenty).await;
    let watching = Prometheus::of(&app);
    let fires = async |alert: &str| watching.fires(&app, alert).await;

    // No worker claims it, for ten minutes.
    app.order().await;
    app.clock.advance(600_000);
    eventually("EcommMailIsLate", async || fires("EcommMailIsLate").await).await;
    // Somebody knows why.
    for part in ["", "?kind=order.shipped"] {
        let why = Some(json!({ "why": "a test" }));
        app.client.ok("POST", &format!("/v1/queue/pause{part}"), &app.admin, why).await;
    }
    eventually("EcommQueueIsPaused", async || fires("EcommQueueIsPaused").await).await;
    eventually("EcommQueueIsPausedInPart", async || fires("EcommQueueIsPausedInPart").await).await;
    eventually("the end of EcommMailIsLate", async || !fires("EcommMailIsLate").await).await;
    for part in ["", "?kind=order.shipped"] {
        app.client.ok("POST", &format!("/v1/queue/resume{part}"), &app.admin, None).await;
    }
    for alert in ["EcommRelayIsAway", "EcommRequestsFail", "EcommDatabaseIsAway"] {
        assert!(!fires(alert).await, "{alert} fires by itself");
    }
    app.drain().await;
    eventually("EcommRelayIsAway", async || fires("EcommRelayIsAway").await).await;

    // A mail a few times a second, until it is noticed.
    let mailing = async |alert: &'static str, before: &dyn Fn()| {
        assert!(!fires(alert).await, "{alert} fires by itself");
        eventually(alert, async || {
            before();
            app.order().await;
            app.drain().await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            fires(alert).await
        })
        .await;
    };
    let mailed = async |alert, phase, act: Act| mailing(alert, &|| app.fail(phase, act.clone(), 1)).await;
    mailed("EcommMailsFail", Phase::Rcpt, reply("550 5.7.1 not wanted")).await;
    mailed("EcommMailsMayComeTwice", Phase::Dot, Act::Drop).await;

    reported(&app, &watching).await;

    // An endpoint that hears of all orders, and is not there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = json!({ "url": format!("http://{free}/"), "orders": "all" });
    app.client.ok("POST", "/v1/webhook-endpoints", &app.admin, Some(endpoint)).await;
    mailing("EcommWebhookOfTheShopFails", &|| ()).await;

    // It behaves on the gate's fixtures.
    let broken = install(&app, json!({ "render": "trap", "spare_order": "4242424242" })).await;
    stage(&app, broken, json!({ "stage": "canary", "percent": 100 })).await;
    mailing("EcommRevisionFails", &|| ()).await;

    // The database has lost a table that requests need, then one that the look at the queue does.
    app.database.execute("alter table products rename to lost_products").await;
    eventually("EcommRequestsFail", async || {
        let (status, _) = app.client.call("GET", "/v1/products", "", None).await;
        assert_eq!(status.as_u16(), 500);
        fires("EcommRequestsFail").await
    })
    .await;
    app.database.execute("alter table notification_part_pauses rename to lost_pauses").await;
    eventually("EcommDatabaseIsAway", async || fires("EcommDatabaseIsAway").await).await;

    // None was forgotten here.
    let all = include_str!("../../../packaging/prometheus/alerts.yaml").lines();
    let all: Vec<_> = all.filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let here = include_str!("alerts.rs");
    let missing: Vec<_> = all.iter().filter(|alert| !here.contains(&format!("\"{alert}\""))).collect();
    assert_eq!((missing, all.len() > 8), (Vec::new(), true));
    drop(watching);
    app.end().await;
}
