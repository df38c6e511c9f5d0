//! `ecomm webhook`: endpoints that hear of changes of orders.

use std::process::ExitCode;

use clap::Subcommand;
use ecomm::clock::rfc3339;
use ecomm::endpoint::{Endpoint, Kinds, NewEndpoint, Orders, State};
use ecomm::shop::text::{OptionalLine, WebAddress};

use super::output::{row, say, show, table};
use super::shop::{Shop, ShopArgs};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    shop: ShopArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the endpoints.
    Ls {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Have a server hear of each change of an order. Its secret is shown this once.
    Add {
        /// Where requests go: https, and no address of a private network.
        #[arg(value_parser = url)]
        url: WebAddress,
        /// What it is for.
        #[arg(long, default_value = "", value_parser = description)]
        description: OptionalLine,
        /// A kind of notifications that it is sent, such as "order.shipped"; again for more. All of orders when left out.
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<String>,
        /// Whose orders it hears of: "all", or "own" of who is logged in.
        #[arg(long, default_value = "all", value_parser = orders)]
        orders: Orders,
    },
    /// Keep requests to an endpoint in the queue.
    Pause {
        /// The endpoint.
        id: i64,
    },
    /// Send an endpoint what was kept, and what comes; also one that was disabled.
    Resume {
        /// The endpoint.
        id: i64,
    },
    /// Give an endpoint a new secret, which is shown this once. The one before signs beside it for 24 hours.
    Rotate {
        /// The endpoint.
        id: i64,
    },
    /// Send an endpoint a request of the type "webhook.test".
    Test {
        /// The endpoint.
        id: i64,
    },
    /// Delete an endpoint.
    Rm {
        /// The endpoint.
        id: i64,
    },
}

fn url(text: &str) -> Result<WebAddress, String> {
    text.to_owned().try_into()
}

fn description(text: &str) -> Result<OptionalLine, String> {
    text.to_owned().try_into()
}

fn orders(text: &str) -> Result<Orders, String> {
    text.to_owned().try_into()
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { shop, command } = args;
    let is_json = shop.json;
    Box::pin(shop.work(async |opened| work(opened, command, is_json).await)).await?;
    Ok(ExitCode::SUCCESS)
}

async fn work(shop: &Shop, command: Command, is_json: bool) -> anyhow::Result<()> {
    let client = &shop.client;
    let one = |endpoint: Endpoint| Ok::<_, anyhow::Error>(if is_json { show(&endpoint)? } else { listed(&[endpoint]) });
    let with_secret = |(endpoint, secret): (Endpoint, String)| {
        let json = serde_json::json!({ "endpoint": endpoint, "secret": secret });
        Ok::<_, anyhow::Error>(if is_json { show(&json)? } else { format!("{}{secret}\n", listed(&[endpoint])) })
    };
    let text = match command {
        Command::Ls { limit } => {
            let page = client.endpoints(limit, String::new()).await?;
            if is_json { show(&page.items)? } else { listed(&page.items) }
        }
        Command::Add { url, description, kinds, orders } => {
            let kinds = Kinds::try_from(kinds).map_err(anyhow::Error::msg)?;
            with_secret(client.create_endpoint(&NewEndpoint { url, description, kinds, orders }).await?)?
        }
        Command::Pause { id } => one(client.set_endpoint_state(id, State::Paused).await?)?,
        Command::Resume { id } => one(client.set_endpoint_state(id, State::Active).await?)?,
        Command::Rotate { id } => with_secret(client.rotate_endpoint_secret(id).await?)?,
        Command::Test { id } => {
            let notification = client.test_endpoint(id).await?;
            let json = serde_json::json!({ "notification_id": notification });
            if is_json { show(&json)? } else { format!("notification {notification} is queued\n") }
        }
        Command::Rm { id } => return Ok(client.delete_endpoint(id).await?),
    };
    say(&text)
}

fn listed(endpoints: &[Endpoint]) -> String {
    let mut rows = vec![row(&["ID", "STATE", "ORDERS OF", "KINDS", "URL", "FAILING SINCE", "FAILURE"])];
    for endpoint in endpoints {
        let Endpoint { id, user_id, url, kinds, state, failing_since, failure, .. } = endpoint;
        let whose = user_id.map_or_else(|| "all".to_owned(), |user| format!("user {user}"));
        let kinds = if kinds.names().is_empty() { "all".to_owned() } else { kinds.names().join(",") };
        let since = failing_since.map(rfc3339::text).unwrap_or_default();
        let (id, failure) = (id.to_string(), failure.as_deref().unwrap_or_default());
        rows.push(row(&[&id, state.as_str(), &whose, &kinds, url.as_str(), &since, failure]));
    }
    table(&rows)
}
