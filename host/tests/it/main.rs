//! The integration tests, one binary: the real host on port 0, a clock that is moved, a mailbox as the relay.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "a panic is how a test fails, and nobody imports tests")]

mod accounts;
mod alerts;
mod app;
mod backup;
mod book;
mod both_apis;
mod bulk;
mod certificates;
mod changes;
mod cluster;
mod cold;
mod console;
mod contract;
mod crash;
mod database;
mod defects;
mod delivery;
mod demo;
mod differences;
mod discounts;
mod dkim;
mod doctor;
mod endpoint_answers;
mod endpoint_safety;
mod endpoints;
mod gate;
mod grpc;
mod guests;
mod guide;
mod handover;
mod harness;
mod interventions;
mod kit;
mod lanes;
mod logs;
mod mail_apis;
mod mails;
mod migrations;
mod misbehaviour;
mod model;
mod observed;
mod operations;
mod operators;
mod order_money;
mod parts;
mod pauses;
mod pipelining;
mod place;
mod postfix;
mod process;
mod reactions;
mod registries;
mod relay;
mod remote;
mod reports;
mod rest;
mod retention;
mod returned;
mod servers;
mod sessions;
mod settings;
mod shop;
mod signatures;
mod snapshots;
mod stages;
mod stock_alerts;
mod store;
mod suppressions;
mod throttling;
mod tidy;
mod tls;
mod traces;
mod unicode;
mod upgrade;
mod webhooks;

use std::io::Write;
use std::process::ExitCode;

/// Every file's tests.
const LISTED: [fn() -> Vec<libtest_mimic::Trial>; 75] = [
    accounts::tests,
    alerts::tests,
    backup::tests,
    book::tests,
    both_apis::tests,
    bulk::tests,
    certificates::tests,
    changes::tests,
    cluster::tests,
    cold::tests,
    console::tests,
    contract::tests,
    crash::tests,
    defects::tests,
    delivery::tests,
    demo::tests,
    differences::tests,
    endpoint_answers::tests,
    endpoint_safety::tests,
    endpoints::tests,
    discounts::tests,
    dkim::tests,
    dkim::with_dkimpy,
    doctor::tests,
    gate::tests,
    grpc::tests,
    guests::tests,
    guide::tests,
    handover::tests,
    interventions::tests,
    kit::tests,
    lanes::tests,
    logs::tests,
    mail_apis::tests,
    mail_apis::requests::tests,
    mails::tests,
    mails::programs::tests,
    mails::programs::with_spamassassin,
    migrations::tests,
    misbehaviour::tests,
    model::tests,
    observed::tests,
    operations::tests,
    operators::tests,
    order_money::tests,
    parts::tests,
    pauses::tests,
    pipelining::tests,
    place::tests,
    postfix::tests,
    registries::tests,
    remote::tests,
    relay::tests,
    reactions::tests,
    reports::tests,
    rest::tests,
    retention::tests,
    returned::tests,
    servers::tests,
    sessions::tests,
    settings::tests,
    shop::tests,
    signatures::tests,
    snapshots::tests,
    stages::tests,
    stock_alerts::tests,
    store::tests,
    suppressions::tests,
    throttling::tests,
    tidy::tests,
    tls::tests,
    traces::tests,
    unicode::tests,
    upgrade::tests,
    webhooks::tests,
];

fn main() -> ExitCode {
    ecomm::host::use_ring();
    if let Some(missing) = database::left_out() {
        let _ = writeln!(std::io::stderr(), "\nleft out, and their tests ignored: {missing}");
    }
    logs::watch();
    let ended =
        libtest_mimic::run(&libtest_mimic::Arguments::from_args(), LISTED.iter().flat_map(|tests| tests()).collect());
    if let Err(leaks) = logs::are_discreet() {
        let _ = writeln!(std::io::stderr(), "\nthe log has what must not be in it:\n{leaks}");
        return std::process::ExitCode::FAILURE;
    }
    ended.exit_code()
}
