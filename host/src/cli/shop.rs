//! On which shop a command works: on a database that is at hand, or through a host far away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ecomm::clock::Clock;
use ecomm::grpc::client::{Client, Error, Server};
use ecomm::service::{Principal, Service};

use super::session;

/// On which shop, and how it is answered.
#[derive(clap::Args)]
pub(super) struct ShopArgs {
    /// The settings of the shop whose database is at hand; see config.default.toml.
    #[arg(long, env = "ECOMM_CONFIG", global = true, conflicts_with = "server")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON, of the same form as the REST API's answers.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A host far away, and how to trust it.
#[derive(Clone, clap::Args)]
pub(super) struct ServerArgs {
    /// Work through the gRPC API of a host, such as `https://shop.example:50051`, without settings or a database. Log in
    /// first (`ecomm login`), or set `ECOMM_TOKEN` to an access token.
    #[arg(long, env = "ECOMM_SERVER", value_name = "URL", global = true)]
    server: Option<String>,
    /// The authorities that the host's certificate is checked by, in PEM; those of the system when none.
    #[arg(long, env = "ECOMM_CA", value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Speak to a host on another machine without TLS; passwords and tokens can be read on the way.
    #[arg(long, global = true)]
    pub(super) no_tls: bool,
}

/// A shop to work on.
pub(super) struct Shop {
    pub(super) client: Client,
    /// The use cases of this process, where the database is at hand.
    pub(super) service: Option<Arc<Service>>,
    /// The largest component that is taken out of a registry, in bytes.
    pub(super) component_bytes_max: usize,
}

/// Who has the database may do everything with it.
const OPERATOR: Principal = Principal { user_id: 0, session_id: 0, is_admin: true, role: None };

impl ShopArgs {
    /// Runs a command on the shop.
    pub(super) async fn work<T>(&self, work: impl AsyncFnOnce(&Shop) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if self.server.server.is_none() {
            let service = ecomm::host::offline(super::load(self.config.as_deref())?, Clock::system()).await?;
            let component_bytes_max = service.plugins.component_bytes_max();
            let client = Client::local(&service, OPERATOR);
            let shop = Shop { client, service: Some(service.clone()), component_bytes_max };
            let done = work(&shop).await;
            service.store.close().await;
            return done;
        }
        let component_bytes_max = super::load_for_authors(None)?.plugins.component_bytes_max;
        let server = self.server.server().await?;
        let token = session::token(&server, self.server.no_tls).await?;
        let client = Client::connect(&server, Some(&token.text)).await?;
        let shop = Shop { client: client.clone(), service: None, component_bytes_max };
        let done = tokio::select! {
            done = work(&shop) => done,
            never = session::keep(&server, &client, token) => match never {},
        };
        done.map_err(|e| session::refused(&server, e))
    }
}

impl ServerArgs {
    pub(super) async fn server(&self) -> anyhow::Result<Server> {
        let url = self.server.as_deref().context("--server must be given")?;
        let authorities = match &self.ca {
            None => None,
            Some(file) => Some(tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))?),
        };
        Ok(Server::new(url, authorities)?)
    }
}

/// For how long a look at long work may fail in passing.
const PATIENCE: Duration = Duration::from_mins(1);
/// Until it is looked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at long work, which goes on meanwhile: a host that restarts, or a connection that breaks, is waited for.
pub(super) async fn patiently<T>(look: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let clock = Clock::system();
    let until = clock.monotonic_ms() + i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX);
    loop {
        match look().await {
            Err(Error::Passing(_)) if clock.monotonic_ms() < until => tokio::time::sleep(PAUSE).await,
            looked => return looked,
        }
    }
}

impl Shop {
    /// Forgets compiled code that is of no use any more; how many files, of how many bytes.
    pub(super) async fn collect_garbage(&self) -> anyhow::Result<(usize, u64)> {
        let service = self.service.as_ref();
        let service = service.context("compiled code is kept in the database and beside it: leave --server out")?;
        Ok(service.collect_garbage(OPERATOR).await?)
    }
}
