//! `ecomm hosts`.

use std::process::ExitCode;

use ecomm::clock::rfc3339;
use ecomm::service::HostInfo;

use super::output::{row, say, show, table};
use super::shop::ShopArgs;

pub(super) async fn run(shop: ShopArgs) -> anyhow::Result<ExitCode> {
    let hosts = Box::pin(shop.work(async |opened| Ok(opened.client.hosts().await?))).await?;
    say(&if shop.json { show(&hosts)? } else { listed(&hosts) })?;
    Ok(ExitCode::SUCCESS)
}

fn listed(hosts: &[HostInfo]) -> String {
    let mut rows = vec![row(&["HOST", "VERSION", "ROLES", "SINCE", "SEEN", "SENT", "FAILED"])];
    for HostInfo { host, version, roles, started_at, seen_at, sent, failed, is_this: _ } in hosts {
        let [since, seen] = [started_at, seen_at].map(|at| rfc3339::text(*at));
        rows.push(row(&[host, version, &roles.join(","), &since, &seen, &sent.to_string(), &failed.to_string()]));
    }
    table(&rows)
}
