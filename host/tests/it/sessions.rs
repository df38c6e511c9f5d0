//! Logging in, staying logged in, logging out; and whose rights count.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, SECRET, sqlite, user};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_log_in_from_elsewhere_is_told
        a_refresh_token_works_once
        renewals_at_the_same_moment_have_one_successor
        logging_out_ends_the_session_that_it_names
        rights_follow_at_the_next_renewal
        a_new_password_ends_the_other_sessions
        a_log_in_under_way_does_not_outlive_the_password
    }
    once {
        one_mailbox_is_not_flooded_by_many_accounts
        a_session_runs_out
        log_ins_are_throttled_by_account_and_by_address
        a_retired_secret_is_still_believed_and_signs_no_more
        foreign_tokens_are_refused
    }
}

async fn renew(app: &App, session: &Value) -> (u16, Value) {
    let body = json!({ "refresh_token": session["refresh_token"] });
    let (status, answer) = app.client.call("POST", "/v1/sessions/renew", "", Some(body)).await;
    (status.as_u16(), answer)
}

fn access(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

async fn a_refresh_token_works_once(database: Database) {
    let app = App::start(database).await;
    let first = app.client.session("ada@example.com").await;
    // An access token that has run out does not matter here.
    let (status, second) = renew(&app, &first).await;
    assert_eq!((status, &second["id"]), (200, &first["id"]));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // Only a hash is kept.
    let kept = app.database.texts("select token_hash from sessions where token_hash is not null").await;
    assert!(kept.iter().all(|hash| hash.len() == 64), "{kept:?}");
    // A client that missed the answer asks again, and gets the same one.
    let (status, again) = renew(&app, &first).await;
    assert_eq!((status, &again["refresh_token"]), (200, &second["refresh_token"]));
    app.clock.advance(31_000);
    // Later, the spent one ends the whole family: the thief's and the owner's.
    assert_eq!(renew(&app, &first).await.0, 401);
    let (status, problem) = renew(&app, &second).await;
    assert_eq!((status, problem["type"].as_str()), (401, Some("urn:ecomm:problem:wrong-refresh-token")));
    app.end().await;
}

/// Two tabs, on both APIs, at the same moment: one successor, which lives on.
async fn renewals_at_the_same_moment_have_one_successor(database: Database) {
    use ecomm::grpc::pb::session_service_client::SessionServiceClient;
    let app = App::start(database).await;
    let channel = crate::both_apis::channel(&app).await;
    let mut session = app.client.session("ada@example.com").await;
    for _ in 0..5 {
        let token = session["refresh_token"].as_str().unwrap().to_owned();
        let over_grpc = async || {
            let request = ecomm::grpc::pb::RenewSessionRequest { refresh_token: token.clone() };
            SessionServiceClient::new(channel.clone())
                .renew_session(request)
                .await
                .unwrap()
                .into_inner()
                .session
                .unwrap()
                .refresh_token
        };
        let over_rest = async || {
            let (status, renewed) = renew(&app, &session).await;
            assert_eq!(status, 200, "{renewed}");
            renewed
        };
        let (one, two, three, four) = tokio::join!(over_rest(), over_grpc(), over_rest(), over_grpc());
        let newest = one["refresh_token"].as_str().unwrap();
        assert!([two.as_str(), three["refresh_token"].as_str().unwrap(), &four].iter().all(|t| *t == newest));
        session = one;
    }
    // Once the successor has been used, the one before it is a thief's, however short a time ago it was spent.
    let (status, newer) = renew(&app, &session).await;
    assert_eq!((status, renew(&app, &newer).await.0), (200, 200));
    assert_eq!(renew(&app, &session).await.0, 401);
    assert_eq!(renew(&app, &newer).await.0, 401);
    app.end().await;
}

async fn logging_out_ends_the_session_that_it_names(database: Database) {
    let app = App::start(database).await;
    let (mine, other) = (app.client.session("ada@example.com").await, app.client.session("ada@example.com").await);
    let listed = app.client.ok("GET", "/v1/sessions", access(&mine), None).await;
    let current: Vec<_> = listed.as_array().unwrap().iter().filter(|s| s["is_current"] == true).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &mine["id"]));
    app.client.ok("DELETE", "/v1/sessions/current", access(&mine), None).await;
    assert_eq!(renew(&app, &mine).await.0, 401);
    assert_eq!(renew(&app, &other).await.0, 200);
    let path = format!("/v1/sessions/{}", other["id"]);
    // Nobody else's.
    assert_eq!(app.client.call("DELETE", &path, &app.admin, None).await.0.as_u16(), 404);
    app.client.ok("DELETE", &path, access(&mine), None).await;
    assert_eq!(app.client.call("DELETE", &path, access(&mine), None).await.0.as_u16(), 404);
    app.end().await;
}

async fn rights_follow_at_the_next_renewal(database: Database) {
    let app = App::start(database).await;
    let session = app.client.session("ada@example.com").await;
    let path = format!("/v1/users/{}", session["user_id"]);
    app.client.ok("PATCH", &path, &app.admin, Some(json!({ "is_admin": true }))).await;
    assert_eq!(app.client.call("GET", "/v1/users", access(&session), None).await.0.as_u16(), 403);
    let promoted = renew(&app, &session).await.1;
    app.client.ok("GET", "/v1/users", access(&promoted), None).await;
    app.client.ok("PATCH", &path, &app.admin, Some(json!({ "is_admin": false }))).await;
    // The token that still says so does not take them back, for oneself or another, nor does it send others away.
    let again = || Some(json!({ "is_admin": true }));
    for (method, path, body) in
        [("PATCH", path.as_str(), again()), ("PATCH", "/v1/users/1", again()), ("DELETE", "/v1/users/1", None)]
    {
        assert_eq!(app.client.call(method, path, access(&promoted), body).await.0.as_u16(), 403, "{method} {path}");
    }
    // Losing rights ends sessions: the next renewal is a log-in.
    assert_eq!(renew(&app, &promoted).await.0, 401);
    let again = app.client.session("ada@example.com").await;
    assert_eq!(app.client.call("GET", "/v1/users", access(&again), None).await.0.as_u16(), 403);
    // Nobody promotes himself, and somebody stays admin.
    assert_eq!(
        app.client.call("PATCH", &path, access(&again), Some(json!({ "is_admin": true }))).await.0.as_u16(),
        403
    );
    let admin = app.client.session("admin@shop.example").await;
    let path = format!("/v1/users/{}", admin["user_id"]);
    assert_eq!(app.client.call("PATCH", &path, &app.admin, Some(json!({ "is_admin": false }))).await.0.as_u16(), 409);
    app.end().await;
}

async fn a_new_password_ends_the_other_sessions(database: Database) {
    let app = App::start(database).await;
    let (mine, other) = (app.client.session("ada@example.com").await, app.client.session("ada@example.com").await);
    let path = format!("/v1/users/{}", mine["user_id"]);
    let change = |current: &str| json!({ "password": "a new password", "current_password": current });
    let (status, problem) = app.client.call("PATCH", &path, access(&mine), Some(change("not the password"))).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/current_password")));
    app.client.ok("PATCH", &path, access(&mine), Some(change(PASSWORD))).await;
    assert_eq!(renew(&app, &other).await.0, 401);
    assert_eq!(renew(&app, &mine).await.0, 200);
    let log_in = async |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        app.client.call("POST", "/v1/sessions", "", Some(body)).await.0.as_u16()
    };
    assert_eq!((log_in(PASSWORD).await, log_in("a new password").await), (401, 201));
    app.end().await;
}

async fn a_log_in_under_way_does_not_outlive_the_password(database: Database) {
    let app = App::start(database).await;
    let mut old = PASSWORD.to_owned();
    let path = format!("/v1/users/{}", app.client.session("ada@example.com").await["user_id"]);
    for round in 0..5 {
        let new = format!("the password of round {round}");
        let change = Some(json!({ "password": new }));
        let log_in = Some(json!({ "email": "ada@example.com", "password": old }));
        let (_, (status, session)) = tokio::join!(
            app.client.ok("PATCH", &path, &app.admin, change),
            app.client.call("POST", "/v1/sessions", "", log_in)
        );
        // Either it came too late, or the change found its session.
        assert!(status == 401 || renew(&app, &session).await.0 == 401, "round {round}: {status}");
        old = new;
    }
    app.end().await;
}

async fn a_session_runs_out() {
    let app = App::with(sqlite().await, &[("AUTH__REFRESH_TOKEN_MS", "1000000")]).await;
    let session = app.client.session("ada@example.com").await;
    app.clock.advance(1_001_000);
    assert_eq!(renew(&app, &session).await.0, 401);
    app.end().await;
}

async fn log_ins_are_throttled_by_account_and_by_address() {
    let app = App::with(sqlite().await, &[("LIMITS__LOG_INS_PER_ACCOUNT_MAX", "3")]).await;
    let log_in = async |email: &str| {
        let body = json!({ "email": email, "password": "not the password" });
        app.client.with(("POST", "/v1/sessions"), "", &[], Some(body)).await
    };
    // One of three was for the set-up.
    for _ in 0..2 {
        assert_eq!(log_in("ada@example.com").await.0, 401);
    }
    let (status, headers, problem) = log_in("ada@example.com").await;
    assert_eq!((status, problem["type"].as_str()), (429, Some("urn:ecomm:problem:too-many-requests")));
    assert!(headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    // No other way to guess it.
    let guess = Some(json!({ "password": "a new password", "current_password": "not the password" }));
    assert_eq!(app.client.call("PATCH", "/v1/users/2", &app.customer, guess).await.0.as_u16(), 429);
    // The same for an account that does not exist, so that nothing is told; and others are not touched.
    for expected in [401, 401, 401, 429] {
        assert_eq!(log_in("nobody@example.com").await.0, expected);
    }
    app.end().await;
}

async fn a_retired_secret_is_still_believed_and_signs_no_more() {
    let database = sqlite().await;
    let url = database.url.clone();
    let app = App::start(database).await;
    let session = app.client.session("ada@example.com").await;
    let (old, database) = (session["access_token"].as_str().unwrap().to_owned(), app.end_keeping().await);
    assert_eq!(database.url, url);
    let settings = [
        ("AUTH__SECRET", "another secret, just as long as the first"),
        ("AUTH__RETIRED_SECRETS", &format!("[{SECRET:?}]")),
    ];
    let config = ecomm::config::Config::load(None, crate::app::environment(&database, &settings)).unwrap();
    let roles = ecomm::host::Roles { worker: false, ..ecomm::host::Roles::ALL };
    let host = ecomm::host::Host::start(config, roles, ecomm::clock::Clock::system()).await.unwrap();
    let client = crate::app::Client::new(host.http.unwrap());
    client.ok("GET", "/v1/orders", &old, None).await;
    let body = json!({ "refresh_token": session["refresh_token"] });
    let renewed = client.ok("POST", "/v1/sessions/renew", "", Some(body)).await;
    let key = |token: &Value| jsonwebtoken::decode_header(token.as_str().unwrap()).unwrap().kid;
    assert_ne!(key(&renewed["access_token"]), key(&session["access_token"]));
    host.stop().await;
}

/// Defects 3 and 10: every token but a fresh access token of ours gets the same answer.
async fn foreign_tokens_are_refused() {
    let app = App::start(sqlite().await).await;
    let session = app.client.session("ada@example.com").await;
    let kid = jsonwebtoken::decode_header(access(&session)).unwrap().kid;
    let claims = |aud: &str, iss: &str, exp: i64| json!({ "iss": iss, "aud": aud, "sub": "1", "sid": 1, "admin": true, "iat": 0, "exp": exp, "jti": "x" });
    let sign = |algorithm, typ: &str, claims: Value, secret: &str| {
        let header = Header { typ: Some(typ.to_owned()), kid: kid.clone(), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let late = 4_000_000_000;
    let good = sign(Algorithm::HS256, "at+jwt", claims("ecomm-api", "ecomm", late), SECRET);
    app.client.ok("GET", "/v1/users", &good, None).await;
    let parts: Vec<&str> = good.split('.').collect();
    let none = format!("{}.{}.", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0", parts[1]);
    for bad in [
        session["refresh_token"].as_str().unwrap().to_owned(),
        sign(Algorithm::HS512, "at+jwt", claims("ecomm-api", "ecomm", late), SECRET),
        sign(Algorithm::HS256, "at+jwt", claims("ecomm-api", "ecomm", late), "a secret of somebody else, long enough"),
        sign(Algorithm::HS256, "at+jwt", claims("another", "ecomm", late), SECRET),
        sign(Algorithm::HS256, "at+jwt", claims("ecomm-api", "another", late), SECRET),
        sign(Algorithm::HS256, "JWT", claims("ecomm-api", "ecomm", late), SECRET),
        sign(Algorithm::HS256, "at+jwt", claims("ecomm-api", "ecomm", 1), SECRET),
        none,
        "junk".to_owned(),
        "a.b.c".to_owned(),
    ] {
        let (status, problem) = app.client.call("GET", "/v1/orders", &bad, None).await;
        assert_eq!(
            (status.as_u16(), problem["detail"].as_str()),
            (401, Some("a valid access token is needed")),
            "{bad}"
        );
        // Where none is needed, a bad one is still refused: its holder thinks to be somebody.
        assert_eq!(app.client.call("GET", "/v1/products", &bad, None).await.0.as_u16(), 401);
    }
    app.end().await;
}

async fn a_log_in_from_elsewhere_is_told(database: Database) {
    let app = crate::accounts::start(database).await;
    let log_in = async |from: &str| {
        let credentials = json!({ "email": "ada@example.com", "password": PASSWORD });
        let credentials = serde_json::from_value(credentials).unwrap();
        app.host.service.log_in(credentials, Some(from.parse().unwrap())).await.unwrap();
        app.drain().await;
        app.mailbox.messages().len()
    };
    // The harness has logged in from 127.0.0.1; another address of that network is no news.
    assert_eq!(log_in("127.0.0.9").await, 1);
    assert_eq!(log_in("203.0.113.7").await, 2);
    let mail = crate::app::newest(&app);
    assert!(mail.contains("A new log-in at My Shop") && mail.contains("203.0.113.7"), "{mail}");
    assert_eq!(log_in("203.0.113.200").await, 2, "seen there before");
    assert_eq!(log_in("2001:db8:1:2::3").await, 3);
    assert_eq!(log_in("2001:db8:1:ffff::4").await, 3, "the same site");
    assert_eq!(log_in("::ffff:203.0.113.9").await, 3, "the same, written otherwise");
    assert_eq!(app.database.number("select count(*) from sessions where network like '%203%0%113%'").await, 0);
    app.end().await;
}

async fn one_mailbox_is_not_flooded_by_many_accounts() {
    let settings = [
        ("ACCOUNTS__VERIFY_EMAILS", "true"),
        ("ACCOUNTS__MAILS_PER_HOUR_MAX", "100"),
        ("LIMITS__VERIFICATIONS_PER_MAILBOX_MAX", "6"),
    ];
    let app = App::with(sqlite().await, &settings).await;
    let mut answers = Vec::new();
    for n in 0..4 {
        let name = format!("eve{n}@example.com");
        app.host.service.sign_up(user(&name, "Eve")).await.unwrap();
        let session = app.client.session(&name).await;
        let (token, id) = (session["access_token"].as_str().unwrap().to_owned(), session["user_id"].clone());
        for address in ["Victim@example.com", "victim@example.com"] {
            let moves = json!({ "email": address, "current_password": PASSWORD });
            let (status, _) = app.client.call("PATCH", &format!("/v1/users/{id}"), &token, Some(moves)).await;
            answers.push(status.as_u16());
        }
    }
    assert_eq!(answers, [200, 200, 200, 200, 200, 200, 429, 429]);
    app.end().await;
}
