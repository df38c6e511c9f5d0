//! Whether each relay takes mails from here, for how long its certificate holds, and, where that is asked for, a test mail.

use super::{Check, Finding, certificates};
use crate::clock::Clock;
use crate::config::Config;
use crate::lease::{Lease, NotRecorded};
use crate::mail::{Examined, Mailer, Message, Tls, Transport};
use crate::notification::{Notification, Payload};
use crate::plugin::{self, Email};
use crate::shop::text;

/// How long a test mail may take.
const TEST_MS_MAX: i64 = 60_000;

pub(super) async fn examine(config: &Config, test: Option<&text::Email>, clock: &Clock) -> Vec<Finding> {
    if config.mail.relays.is_empty() {
        return vec![if config.mailbox.enabled {
            let says = "there is none but the mailbox for development: nobody receives a mail";
            Finding::warning(
                Check::Relay,
                "",
                says,
                "for production, set mailbox.enabled = false and add a [[mail.relays]]",
            )
        } else {
            let advice =
                "add a [[mail.relays]], or set mailbox.enabled for development: a worker does not start without";
            Finding::fault(Check::Relay, "", "there is none", advice)
        }];
    }
    let mailer = match Mailer::new(config.mail.clone(), clock) {
        Ok(mailer) => mailer,
        Err(e) => {
            return vec![Finding::fault(Check::Relay, "", e.to_string(), "a host with these settings does not start")];
        }
    };
    let mut findings = Vec::new();
    for examined in mailer.examine().await {
        let is_reached = examined.refusal.is_none();
        findings.extend(relay(&examined, config, clock.now_ms()));
        if let Some(to) = test
            && is_reached
        {
            findings.push(send_test(&mailer, &examined.relay, to, config, clock).await);
        }
    }
    mailer.close().await;
    findings
}

fn relay(examined: &Examined, config: &Config, now_ms: i64) -> Vec<Finding> {
    let name = &examined.relay;
    if let Some(refusal) = &examined.refusal {
        let says = format!("{} refused or failed at {}: {}", examined.address, refusal.phase, refusal.why);
        let advice = match refusal.phase {
            "connect" => "check host, port, tls and ca_path, and that a firewall lets this machine out",
            "starttls" => {
                "check that this port speaks STARTTLS, the certificate's name and ca_path; port 465 needs tls = \"implicit\""
            }
            "auth" => "check username and password",
            _ => "check mail.hello_name, and that the relay takes mails from this machine",
        };
        return vec![Finding::fault(Check::Relay, name, says, advice)];
    }
    let protection = match examined.tls {
        Tls::Starttls => "STARTTLS",
        Tls::Implicit => "TLS",
        Tls::None => "no TLS",
    };
    let login = if examined.is_logged_in { "logged in" } else { "no log-in" };
    let Examined { address, took_ms, .. } = examined;
    let mut findings = if examined.transport == Transport::Smtp {
        let offers = examined.extensions.join(", ");
        vec![Finding::ok(Check::Relay, name, format!("{address}, {protection}, {login}, {took_ms} ms; {offers}"))]
    } else {
        let says =
            format!("{address}, {protection}, {took_ms} ms; an API says whether it knows the key once it gets a mail");
        vec![Finding::ok(Check::Relay, name, says)]
    };
    let largest = config.plugins.call.output_bytes_max as u64 / 3 * 4;
    if let Some(size) = examined.size_max().filter(|size| *size < largest) {
        let says = format!("takes mails of {size} bytes at most; a renderer may write {largest}");
        let advice = "lower plugins.call.output_bytes_max, so that a mail too large fails before it is sent";
        findings.push(Finding::warning(Check::Relay, name, says, advice));
    }
    if examined.transport == Transport::Smtp && examined.parameters("SMTPUTF8").is_none() {
        let says = "has no SMTPUTF8 (RFC 6531): customers with letters outside ASCII before the @ get no mail";
        findings.push(Finding::warning(
            Check::Relay,
            name,
            says,
            "use a relay that has it, if there are such customers",
        ));
    }
    if let Some(certificate) = &examined.certificate {
        let advice = "ask for its renewal: without it no mail goes out by this relay";
        findings.push(certificates::valid(name, &certificate.subject, certificate.ends_at, now_ms, advice));
    }
    findings
}

/// Sends one mail by one relay, past queue, policy and renderer.
async fn send_test(mailer: &Mailer, relay: &str, to: &text::Email, config: &Config, clock: &Clock) -> Finding {
    let message = match test_message(mailer, relay, to, config, clock) {
        Ok(message) => message,
        Err(e) => return Finding::fault(Check::Mail, relay, e, "check mail.from and the address"),
    };
    let lease = Lease::until(clock, clock.monotonic_ms() + TEST_MS_MAX);
    let recorded = std::future::ready(Ok::<(), NotRecorded>(()));
    match mailer.send(relay, &message, &lease, recorded).await {
        Ok(outcome) if outcome.result.is_ok() => {
            Finding::ok(Check::Mail, relay, format!("the test mail to {} was accepted: {}", to.as_str(), outcome.reply))
        }
        Ok(outcome) => {
            let code = outcome.code.map(|code| format!("{code} ")).unwrap_or_default();
            let says = format!("the test mail was refused at {}: {code}{}", outcome.phase, outcome.reply);
            Finding::fault(
                Check::Mail,
                relay,
                says,
                "the relay's words say why; mail.from must be one that it lets this user send from",
            )
        }
        Err(untried) => Finding::fault(Check::Mail, relay, untried.why, "try again in a moment"),
    }
}

fn test_message(
    mailer: &Mailer,
    relay: &str,
    to: &text::Email,
    config: &Config,
    clock: &Clock,
) -> Result<Message, String> {
    let (_, sample) = plugin::samples()[0];
    let mut payload = Payload::read(sample).map_err(|e| e.to_string())?;
    payload.customer.email = to.clone();
    payload.customer.name = text::Line::try_from("Operator".to_owned())?;
    let domain = config.mail.from.domain();
    let message_id = format!("{}@{domain}", clock.uuid());
    let body = format!(
        "A test mail of {}, sent by `ecomm doctor` by way of the relay \"{relay}\".\n\nIf it lies where other mails lie, the \
         relay and the sender's domain are set up.\n",
        config.shop.name.as_str()
    );
    let email = Email {
        subject: format!("Test mail of {}", config.shop.name.as_str()),
        text: body,
        html: None,
        from_name: None,
        reply_to: None,
        headers: Vec::new(),
        attachments: Vec::new(),
    };
    let notification = Notification { id: 0, message_id, payload };
    mailer.build(&notification, &email, u64::from_le_bytes(clock.random()), clock.now_ms())
}
