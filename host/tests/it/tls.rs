//! Mail under TLS: verified, not stripped, nothing smuggled in before it.

use ecomm::clock::Clock;
use ecomm::lease::Lease;
use ecomm::mail::{Mailer, Settings, Tls};
use ecomm::notification::Class;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::app::{App, sqlite};
use crate::harness::tests;
use crate::relay::{message, rig, settings};
use crate::reports;

tests! {
    once {
        starttls_is_verified
        what_was_said_before_tls_is_not_taken_for_said_under_it
        implicit_tls_is_verified
        reports_are_taken_under_tls
    }
    on_one_thread {
        unprotected_mail_stays_on_this_machine
    }
}

fn certificate() -> (String, tokio_rustls::TlsAcceptor) {
    certificate_for(365)
}

/// One for localhost that is valid for so many days, or was until so many days ago.
pub fn certificate_for(days: i64) -> (String, tokio_rustls::TlsAcceptor) {
    let (pem, config) = server_for(days);
    (pem, std::sync::Arc::new(config).into())
}

fn server_for(days: i64) -> (String, tokio_rustls::rustls::ServerConfig) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let seconds = Clock::system().now_ms() / 1_000 + days * 86_400;
    parameters.not_after =
        (std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.cast_unsigned())).into();
    let cert = parameters.self_signed(&key).unwrap();
    let der = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], der.into())
        .unwrap();
    (cert.pem(), config)
}

/// What ends TLS before a server, speaking `protocols` (ALPN); its authority, and its port at localhost.
pub async fn before(server: std::net::SocketAddr, protocols: &[&[u8]]) -> (String, u16) {
    let (pem, mut config) = server_for(365);
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    let acceptor: tokio_rustls::TlsAcceptor = std::sync::Arc::new(config).into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut outer) = acceptor.accept(socket).await {
                    let mut inner = tokio::net::TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }
            });
        }
    });
    (pem, port)
}

async fn starttls_is_verified() {
    let (pem, acceptor) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, pem).unwrap();
    let trusted = |s: &mut Settings| {
        let relay = &mut s.relays[0];
        (relay.tls, relay.host, relay.ca_path) = (Tls::Starttls, "localhost".to_owned(), authority.clone());
        s.deadlines.command_ms_max = 5_000;
    };
    let rig_trusting = rig(trusted, Some(acceptor.clone())).await;
    assert_eq!(rig_trusting.send().await.result, Ok(()));
    // Nobody vouches for it.
    let unknown = |s: &mut Settings| {
        trusted(s);
        s.relays[0].ca_path = std::path::PathBuf::new();
    };
    let rig_unknown = rig(unknown, Some(acceptor.clone())).await;
    let outcome = rig_unknown.send().await;
    assert_eq!((outcome.result, outcome.phase), (Err(Class::NotHandedOver), "starttls"));
    // Another name.
    let other = |s: &mut Settings| {
        trusted(s);
        "127.0.0.1".clone_into(&mut s.relays[0].host);
    };
    assert_eq!(rig(other, Some(acceptor)).await.send().await.phase, "starttls");
    // Stripped from the relay's offers.
    assert_eq!(rig(trusted, None).await.send().await.phase, "starttls");
}

/// CVE-2011-0411: what somebody on the way puts behind the answer to STARTTLS must not count as said under TLS.
async fn what_was_said_before_tls_is_not_taken_for_said_under_it() {
    let (pem, acceptor) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap().port(), 5_000);
    let relay = &mut settings.relays[0];
    (relay.tls, relay.host, relay.ca_path) = (Tls::Starttls, "localhost".to_owned(), authority);
    let clock = Clock::system();
    let mailer = Mailer::new(settings, &clock).unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(socket);
        stream.write_all(b"220 x\r\n").await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream.write_all(b"250-x\r\n250 STARTTLS\r\n").await.unwrap();
        stream.read_line(&mut line).await.unwrap();
        stream.write_all(b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n").await.unwrap();
        let _ = acceptor.accept(stream).await;
    });
    let message = message(&mailer, "Hello.");
    let lease = Lease::until(&clock, clock.monotonic_ms() + 60_000);
    let outcome = mailer.send("default", &message, &lease, async { Ok(()) }).await.unwrap();
    assert_eq!((outcome.result, outcome.phase), (Err(Class::NotHandedOver), "starttls"));
}

async fn implicit_tls_is_verified() {
    let plain = rig(|_| {}, None).await;
    let (pem, port) = before(([127, 0, 0, 1], plain.port).into(), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, pem).unwrap();
    let send = async |host: &str, authority: std::path::PathBuf| {
        let mut settings = settings(port, 5_000);
        let relay = &mut settings.relays[0];
        (relay.tls, relay.host, relay.ca_path) = (Tls::Implicit, host.to_owned(), authority);
        let mailer = Mailer::new(settings, &plain.clock).unwrap();
        let lease = Lease::until(&plain.clock, plain.clock.monotonic_ms() + 60_000);
        let outcome = mailer.send("default", &message(&mailer, "Hello."), &lease, async { Ok(()) }).await.unwrap();
        mailer.close().await;
        (outcome.result.err(), outcome.phase)
    };
    assert_eq!(send("localhost", authority.clone()).await, (None, "body"));
    assert_eq!(plain.mailbox.messages().len(), 1);
    assert_eq!(send("localhost", std::path::PathBuf::new()).await, (Some(Class::NotHandedOver), "connect"));
    assert_eq!(send("127.0.0.1", authority).await, (Some(Class::NotHandedOver), "connect"));
}

async fn unprotected_mail_stays_on_this_machine() {
    let mut settings = settings(25, 300);
    "mail.example.com".clone_into(&mut settings.relays[0].host);
    let refused = Mailer::new(settings, &Clock::system()).err().unwrap().to_string();
    assert!(refused.contains("not on loopback"), "{refused}");
}

async fn reports_are_taken_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [certificate_path, key_path] =
        ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&certificate_path, certificate.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let settings = [
        ("MAIL__RETURN_PATH", reports::BASE),
        ("INBOUND__LISTEN", "127.0.0.1:0"),
        ("INBOUND__TLS_CERTIFICATE_PATH", certificate_path.as_str()),
        ("INBOUND__TLS_KEY_PATH", key_path.as_str()),
    ];
    let app = App::with(sqlite().await, &settings).await;
    let address = app.host.reports.unwrap();
    let (notification, back) = reports::sent(&app).await;
    let trusted = lettre::transport::smtp::client::Certificate::from_pem(certificate.pem().as_bytes()).unwrap();
    let tls = lettre::transport::smtp::client::TlsParameters::builder("localhost".to_owned());
    let tls = tls.add_root_certificate(trusted).build_rustls().unwrap();
    let peer = lettre::AsyncSmtpTransport::<lettre::Tokio1Executor>::builder_dangerous("127.0.0.1");
    let peer = peer.port(address.port()).tls(lettre::transport::smtp::client::Tls::Required(tls)).build();
    let envelope = lettre::address::Envelope::new(None, vec![back.parse().unwrap()]).unwrap();
    let bounce = reports::of(&notification, "bounced", &back);
    let answer = lettre::AsyncTransport::send_raw(&peer, &envelope, bounce.as_bytes()).await.unwrap();
    assert!(answer.is_positive());
    assert_eq!(reports::again(&app, &notification).await["delivery"], "bounced");
    // What was put behind the command, before TLS, is not taken for said under it.
    let mut peer = reports::Peer::connect(address).await;
    peer.say("EHLO relay.example").await;
    assert!(peer.say("STARTTLS\r\nMAIL FROM:<>").await.starts_with("554"));
    assert_eq!(peer.hear().await, "");
    app.end().await;
}
