//! TLS of what a host serves: REST with HTTP/2, gRPC, and certificates that are replaced while it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::doctor::{self, Check, Level, Options};
use ecomm::grpc::pb;
use ecomm::host::{Host, Roles};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::app::{PASSWORD, environment, sqlite};
use crate::harness::tests;

tests! {
    once {
        rest_and_grpc_are_served_by_tls
        a_certificate_is_replaced_while_connections_go_on
        what_cannot_be_shown_is_named_at_start
        who_never_shakes_hands_keeps_nobody_waiting
        who_never_asks_is_hung_up_on
        a_check_up_finds_what_is_about_to_expire
    }
}

/// An authority of ours.
struct Authority(rcgen::Issuer<'static, rcgen::KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self(rcgen::Issuer::new(parameters, key), pem)
    }

    /// A certificate for localhost, valid for some days around now, with its key.
    fn issue(&self, days: (i64, i64), name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned(), name.to_owned()]).unwrap();
        let day = |days: i64| {
            rcgen::date_time_ymd(1970, 1, 1)
                + std::time::Duration::from_secs(
                    u64::try_from(Clock::system().now_ms() / 1_000 + days * 86_400).unwrap(),
                )
        };
        (parameters.not_before, parameters.not_after) = (day(days.0), day(days.1));
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// Files of a host's certificate.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new((chain, key): &(String, String)) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write(chain, key);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, chain: &str, key: &str) {
        std::fs::write(self.path("chain.pem"), chain).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn settings(&self) -> Vec<(String, String)> {
        let (chain, key) = (self.path("chain.pem").display().to_string(), self.path("key.pem").display().to_string());
        let of = |section: &str| {
            [
                (format!("{section}__TLS_CERTIFICATE_PATH"), chain.clone()),
                (format!("{section}__TLS_KEY_PATH"), key.clone()),
            ]
        };
        [of("HTTP"), of("GRPC")].concat()
    }
}

async fn host(files: &Files) -> Host {
    let database = sqlite().await;
    let settings = files.settings();
    let more: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let config = Config::load(None, environment(&database, &more)).unwrap();
    let host = Box::pin(Host::start(config, Roles { worker: false, ..Roles::ALL }, Clock::system())).await.unwrap();
    // It goes with the test's folder.
    std::mem::forget(database);
    host
}

fn client(authority: &Authority) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(authority.1.as_bytes()).unwrap();
    reqwest::Client::builder().add_root_certificate(root).build().unwrap()
}

async fn rest_and_grpc_are_served_by_tls() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue((-1, 1), "one"));
    let host = host(&files).await;
    let (http, grpc) = (host.http.unwrap().port(), host.grpc.unwrap().port());
    let url = |path: &str| format!("https://localhost:{http}{path}");
    let user = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
    let made = client(&authority).post(url("/v1/users")).json(&user).send().await.unwrap();
    assert_eq!((made.status().as_u16(), made.version()), (201, reqwest::Version::HTTP_2));
    let root = reqwest::Certificate::from_pem(authority.1.as_bytes()).unwrap();
    let older = reqwest::Client::builder().add_root_certificate(root).http1_only().build().unwrap();
    let ready = older.get(url("/readyz")).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.version()), (200, reqwest::Version::HTTP_11));
    // Whoever knows another authority, or speaks without TLS, gets nothing.
    assert!(client(&Authority::new()).get(url("/readyz")).send().await.is_err());
    assert!(reqwest::get(format!("http://localhost:{http}/readyz")).await.is_err());

    let tls = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(&authority.1))
        .domain_name("localhost");
    let channel = tonic::transport::Endpoint::from_shared(format!("https://127.0.0.1:{grpc}")).unwrap().tls_config(tls);
    let channel = channel.unwrap().connect().await.unwrap();
    let log_in = pb::CreateSessionRequest { email: "ada@example.com".to_owned(), password: PASSWORD.to_owned() };
    let mut sessions = pb::session_service_client::SessionServiceClient::new(channel);
    assert!(sessions.create_session(log_in).await.unwrap().into_inner().session.is_some());
    host.stop().await;
}

/// A connection by TLS, and by HTTP/2 if that is asked for.
async fn connect(
    port: u16,
    authority: &Authority,
    protocols: &[&str],
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.1.as_bytes()).unwrap()).unwrap();
    let builder = tokio_rustls::rustls::ClientConfig::builder();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap()
}

/// The name that a host shows beside localhost.
async fn shown(port: u16, authority: &Authority) -> String {
    let stream = connect(port, authority, &[]).await;
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let text = String::from_utf8_lossy(&certificate).into_owned();
    ["one", "two", "three"].into_iter().find(|name| text.contains(&format!("{name}.example"))).unwrap().to_owned()
}

async fn a_certificate_is_replaced_while_connections_go_on() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue((-1, 1), "one.example"));
    let host = host(&files).await;
    let ports = [host.http.unwrap().port(), host.grpc.unwrap().port()];
    let url = format!("https://localhost:{}/readyz", ports[0]);
    let kept = client(&authority);
    assert!(kept.get(&url).send().await.unwrap().status().is_success());
    let now = async || {
        host.refresh_certificates();
        [shown(ports[0], &authority).await, shown(ports[1], &authority).await]
    };
    assert_eq!(now().await, ["one", "one"]);
    let two = authority.issue((-1, 1), "two.example");
    files.write(&two.0, &two.1);
    assert_eq!(now().await, ["two", "two"]);
    assert!(kept.get(&url).send().await.unwrap().status().is_success());
    // Half of a replacement, junk, and what has expired leave the one before.
    let three = authority.issue((-1, 1), "three.example");
    let old = authority.issue((-3, -2), "three.example");
    for (chain, key) in
        [(&three.0, &two.1), (&"junk".to_owned(), &three.1), (&three.0, &"junk".to_owned()), (&old.0, &old.1)]
    {
        files.write(chain, key);
        assert_eq!(now().await, ["two", "two"]);
    }
    std::fs::remove_file(files.path("key.pem")).unwrap();
    assert_eq!(now().await, ["two", "two"]);
    files.write(&three.0, &three.1);
    assert_eq!(now().await, ["three", "three"]);
    host.stop().await;
}

async fn what_cannot_be_shown_is_named_at_start() {
    let authority = Authority::new();
    let (good, other) = (authority.issue((-1, 1), "one"), authority.issue((-1, 1), "two"));
    let files = Files::new(&good);
    let database = sqlite().await;
    let settings = files.settings();
    let refusal = async |change: &dyn Fn(&Path), without: &str| {
        files.write(&good.0, &good.1);
        change(files.folder.path());
        let more: Vec<(&str, &str)> = settings
            .iter()
            .filter(|(key, _)| key != without)
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let config = Config::load(None, environment(&database, &more)).unwrap();
        let started = Box::pin(Host::start(config, Roles::ALL, Clock::system())).await;
        started.map(drop).unwrap_err().to_string()
    };
    let put = |name: &'static str, text: String| move |folder: &Path| std::fs::write(folder.join(name), &text).unwrap();
    let expired = authority.issue((-3, -2), "one");
    let early = authority.issue((2, 3), "one");
    let nothing = |_: &Path| {};
    for (why, is) in [
        (refusal(&put("key.pem", other.1.clone()), "").await, "is not that of the certificate in"),
        (refusal(&put("chain.pem", expired.0.clone()), "").await, "chain.pem: expired on "),
        (refusal(&put("chain.pem", early.0.clone()), "").await, "chain.pem: is not valid before "),
        (refusal(&put("chain.pem", "junk".to_owned()), "").await, "chain.pem: holds no certificate (PEM)"),
        (refusal(&put("key.pem", "junk".to_owned()), "").await, "key.pem: holds no private key (PEM)"),
        (refusal(&|folder| std::fs::remove_file(folder.join("key.pem")).unwrap(), "").await, "key.pem: No such file"),
        (
            refusal(&nothing, "HTTP__TLS_KEY_PATH").await,
            "http: tls_certificate_path and tls_key_path go together; tls_key_path is empty",
        ),
        (
            refusal(&nothing, "GRPC__TLS_CERTIFICATE_PATH").await,
            "grpc: tls_certificate_path and tls_key_path go together; tls_certificate_path is empty",
        ),
    ] {
        assert!(why.contains(is), "{why}");
    }
}

async fn who_never_shakes_hands_keeps_nobody_waiting() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue((-1, 1), "one.example"));
    let mut settings = files.settings();
    settings.push(("HTTP__HEADER_MS_MAX".to_owned(), "300".to_owned()));
    let more: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let database = sqlite().await;
    let config = Config::load(None, environment(&database, &more)).unwrap();
    let host = Box::pin(Host::start(config, Roles { worker: false, ..Roles::ALL }, Clock::system())).await.unwrap();
    let [http, grpc] = [host.http.unwrap().port(), host.grpc.unwrap().port()];
    let mut silent = Vec::new();
    for port in [http, grpc] {
        for _ in 0..20 {
            silent.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
    }
    assert_eq!([shown(http, &authority).await, shown(grpc, &authority).await], ["one", "one"]);
    // And is hung up on.
    let heard = tokio::time::timeout(Duration::from_secs(20), silent[0].read(&mut [0; 1])).await;
    assert!(matches!(heard, Ok(Ok(0) | Err(_))), "{heard:?}");
    host.stop().await;
}

async fn a_check_up_finds_what_is_about_to_expire() {
    let authority = Authority::new();
    let found = async |days: (i64, i64)| {
        let files = Files::new(&authority.issue(days, "one.example"));
        let database = sqlite().await;
        let settings = files.settings();
        let more: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let config = Config::load(None, environment(&database, &more)).unwrap();
        let findings = doctor::examine(&config, &Options::default(), &Clock::system()).await;
        let findings = findings.into_iter().filter(|found| found.check == Check::Certificate);
        findings.map(|found| (found.subject, found.level, found.says)).collect::<Vec<_>>()
    };
    let soon = found((-1, 5)).await;
    assert_eq!(
        soon.iter().map(|(of, level, _)| (of.as_str(), *level)).collect::<Vec<_>>(),
        [("http", Level::Warning), ("grpc", Level::Warning)]
    );
    assert!(soon[0].2.contains("is valid for 4 more days"), "{soon:?}");
    assert!(found((-1, 60)).await.iter().all(|(_, level, _)| *level == Level::Ok));
    let over = found((-3, -2)).await;
    assert!(over[0].1 == Level::Fault && over[0].2.contains("expired on"), "{over:?}");
}

async fn who_never_asks_is_hung_up_on() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue((-1, 1), "one.example"));
    let mut settings = files.settings();
    settings.push(("HTTP__HEADER_MS_MAX".to_owned(), "300".to_owned()));
    let more: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let database = sqlite().await;
    let config = Config::load(None, environment(&database, &more)).unwrap();
    let host = Box::pin(Host::start(config, Roles { worker: false, ..Roles::ALL }, Clock::system())).await.unwrap();
    for protocol in ["h2", "http/1.1"] {
        let mut silent = connect(host.http.unwrap().port(), &authority, &[protocol]).await;
        let mut said = Vec::new();
        let heard = tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut said)).await;
        assert!(heard.is_ok(), "{protocol}");
    }
    // Nor does it keep a host from stopping.
    let _silent = connect(host.http.unwrap().port(), &authority, &["h2"]).await;
    tokio::time::timeout(Duration::from_secs(20), host.stop()).await.unwrap();
}
