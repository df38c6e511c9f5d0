//! What each provider is given: the whole mail, in its own form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ecomm::mail::{Settings, Transport};
use serde_json::{Value, json};

use super::{Rig, mail, parts};
use crate::harness::tests;

tests! {
    once {
        each_provider_gets_the_whole_mail
    }
}

async fn each_provider_gets_the_whole_mail() {
    let ses = Rig::of(Transport::Ses).await;
    ses.send().await.result.unwrap();
    let (first, headers, body) = parts(&ses.server.requests()[0]);
    assert_eq!(first, "POST /v2/email/outbound-emails HTTP/1.1");
    assert!(
        headers["authorization"].contains("/eu-west-1/ses/aws4_request, SignedHeaders=content-type;host;x-amz-date")
    );
    assert_eq!(headers["host"], format!("127.0.0.1:{}", ses.server.port));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Destination"], json!({ "ToAddresses": ["ada@example.com"] }));
    assert_eq!(body["FromEmailAddress"], "orders@shop.example");
    let raw = STANDARD.decode(body["Content"]["Raw"]["Data"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(raw).unwrap(), ses.message(&mail()).text);

    let mailgun = Rig::of(Transport::Mailgun).await;
    mailgun.send().await.result.unwrap();
    let (first, headers, body) = parts(&mailgun.server.requests()[0]);
    assert_eq!(first, "POST /v3/shop.example/messages.mime HTTP/1.1");
    assert_eq!(headers["authorization"], format!("Basic {}", STANDARD.encode("api:a-key")));
    let boundary = headers["content-type"].strip_prefix("multipart/form-data; boundary=").unwrap();
    let fields: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert!(fields[1].contains("name=\"to\"\r\n\r\nada@example.com\r\n"), "{}", fields[1]);
    assert!(fields[2].contains("name=\"v:return-path\"\r\n\r\norders@shop.example\r\n"), "{}", fields[2]);
    let (_, message) = fields[3].split_once("\r\n\r\n").unwrap();
    assert_eq!((message.strip_suffix("\r\n"), fields[4]), (Some(mailgun.message(&mail()).text.as_str()), "--\r\n"));

    let named = |settings: &mut Settings| {
        settings.headers.insert("X-PM-Metadata-return-path".to_owned(), "{return_path}".to_owned());
    };
    let postmark = Rig::with(Transport::Postmark, named).await;
    postmark.send().await.result.unwrap();
    let (first, headers, body) = parts(&postmark.server.requests()[0]);
    assert_eq!((first.as_str(), headers["x-postmark-server-token"].as_str()), ("POST /email HTTP/1.1", "a-key"));
    let body: Value = serde_json::from_str(&body).unwrap();
    let email = mail();
    assert_eq!(
        (&body["From"], &body["To"]),
        (&json!("\"Shop\" <orders@shop.example>"), &json!("\"Ada Lovelace\" <ada@example.com>"))
    );
    assert_eq!((&body["Subject"], &body["TextBody"]), (&json!(email.subject), &json!(email.text)));
    assert_eq!(
        (&body["HtmlBody"], &body["Metadata"]),
        (&json!(email.html), &json!({ "return-path": "orders@shop.example" }))
    );
    let headers = body["Headers"].as_array().unwrap();
    for (name, value) in [
        ("Message-ID", "<1@shop.example>"),
        ("X-PM-KeepID", "true"),
        ("X-Campaign", "autumn"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        assert!(headers.contains(&json!({ "Name": name, "Value": value })), "{name}: {headers:?}");
    }
    let files = body["Attachments"].as_array().unwrap();
    for sent in &email.attachments {
        let file = files.iter().find(|file| file["Name"] == sent.name).unwrap();
        assert_eq!(STANDARD.decode(file["Content"].as_str().unwrap()).unwrap(), sent.data, "{file}");
        assert_eq!(file["ContentID"], sent.content_id.as_ref().map_or(Value::Null, |id| json!(format!("cid:{id}"))));
    }
    assert_eq!(files.len(), email.attachments.len());
}
