//! `ecomm suppression`: addresses that get no more mails.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use ecomm::clock::rfc3339;
use ecomm::service::IMPORT_MAX;
use ecomm::shop::text::Email;
use ecomm::suppression::{Cause, NewSuppression, Scope, Suppression, SuppressionFilter};

use super::output::{row, say, show, table};
use super::shop::{Shop, ShopArgs};

/// Entries that one question to a host is answered with.
const PAGE: u32 = 100;

/// What ends while a file is taken in is left out, in milliseconds.
const MARGIN_MS: i64 = 600_000;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    shop: ShopArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the entries, the newest first.
    Ls {
        #[command(flatten)]
        which: WhichAddresses,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Send an address no more mails, or none of a category.
    Add {
        /// Whose.
        #[arg(value_parser = address)]
        address: Email,
        /// Which mails: all, transactional, requested or marketing.
        #[arg(long, default_value = "all", value_parser = scope)]
        category: Scope,
        /// Why: bounced, complained, unsubscribed or manual.
        #[arg(long, default_value = "manual", value_parser = cause)]
        cause: Cause,
        /// What else is known of it.
        #[arg(long, default_value = "")]
        note: String,
        /// Until when, such as 2027-01-01T00:00:00Z; until it is lifted when left out.
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<i64>,
    },
    /// Let mails go to an address again.
    Rm {
        /// The entry.
        id: i64,
    },
    /// Take in entries from a file: a line each, an address alone or JSON as `export` writes it. What is wrong is said
    /// before anything is taken in.
    Import {
        /// The file; "-": standard input.
        file: PathBuf,
        /// Why, for lines with an address alone.
        #[arg(long, default_value = "manual", value_parser = cause)]
        cause: Cause,
        /// Which mails, for lines with an address alone.
        #[arg(long, default_value = "all", value_parser = scope)]
        category: Scope,
    },
    /// Write all entries that match as lines of JSON, which `import` reads. Those of users who have left have no address and
    /// are left out.
    Export {
        #[command(flatten)]
        which: WhichAddresses,
    },
}

/// Which entries.
#[derive(clap::Args)]
struct WhichAddresses {
    /// Of this address.
    #[arg(long, value_parser = address)]
    address: Option<Email>,
    /// For this cause.
    #[arg(long = "cause", value_parser = cause)]
    because: Option<Cause>,
    /// Of this category.
    #[arg(long = "category", value_parser = scope)]
    of: Option<Scope>,
}

impl WhichAddresses {
    fn filter(self) -> SuppressionFilter {
        SuppressionFilter { address: self.address, cause: self.because, category: self.of }
    }
}

fn address(text: &str) -> Result<Email, String> {
    text.to_owned().try_into()
}

fn cause(text: &str) -> Result<Cause, String> {
    text.to_owned().try_into()
}

fn scope(text: &str) -> Result<Scope, String> {
    text.to_owned().try_into()
}

fn time(text: &str) -> Result<i64, String> {
    let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    rfc3339::deserialize(text).map_err(|e| e.to_string())
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { shop, command } = args;
    // What a file says is read before a shop is asked.
    let wanted = match &command {
        Command::Import { file, cause, category } => read(file, *cause, *category)?,
        _ => Vec::new(),
    };
    let is_json = shop.json;
    Box::pin(shop.work(async |opened| work(opened, command, wanted, is_json).await)).await?;
    Ok(ExitCode::SUCCESS)
}

async fn work(shop: &Shop, command: Command, wanted: Vec<NewSuppression>, is_json: bool) -> anyhow::Result<()> {
    let client = &shop.client;
    match command {
        Command::Ls { which, limit } => {
            let page = client.suppressions(&which.filter(), limit, String::new()).await?;
            say(&if is_json { show(&page.items)? } else { listed(&page.items) })
        }
        Command::Add { address, category, cause, note, expires_at } => {
            let note = note.try_into().map_err(anyhow::Error::msg).context("--note")?;
            let new = NewSuppression { address, category, cause, note, expires_at };
            let entry = client.suppress(&new).await?;
            say(&if is_json { show(&entry)? } else { listed(&[entry]) })
        }
        Command::Rm { id } => Ok(client.lift_suppression(id).await?),
        Command::Import { .. } => {
            let mut imported = 0;
            for part in wanted.chunks(IMPORT_MAX) {
                let taken = client.import_suppressions(part).await;
                imported += taken.with_context(|| format!("{imported} were taken in before; import the file again"))?;
            }
            let json = serde_json::json!({ "imported": imported });
            say(&if is_json { show(&json)? } else { format!("{imported} entries, new or renewed\n") })
        }
        Command::Export { which } => export(shop, &which.filter()).await,
    }
}

async fn export(shop: &Shop, filter: &SuppressionFilter) -> anyhow::Result<()> {
    let (mut stdout, mut cursor) = (std::io::stdout().lock(), String::new());
    loop {
        let page = shop.client.suppressions(filter, PAGE, cursor).await?;
        for entry in page.items {
            let Suppression { address, category, cause, note, expires_at, .. } = entry;
            let Some(address) = address.and_then(|address| address.try_into().ok()) else { continue };
            let note = note.try_into().unwrap_or_default();
            let line = NewSuppression { address, category, cause, note, expires_at };
            writeln!(stdout, "{}", serde_json::to_string(&line)?)?;
        }
        let Some(next) = page.next else { return Ok(()) };
        cursor = next;
    }
}

fn read(file: &std::path::Path, cause: Cause, category: Scope) -> anyhow::Result<Vec<NewSuppression>> {
    let source: Box<dyn std::io::BufRead> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file).with_context(|| file.display().to_string())?;
        Box::new(std::io::BufReader::new(opened))
    };
    let (mut all, now) = (Vec::new(), ecomm::clock::Clock::system().now_ms() + MARGIN_MS);
    for (n, line) in (1..).zip(source.lines()) {
        let line = line.with_context(|| format!("line {n}"))?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let new = if line.starts_with('{') {
            serde_json::from_str(line).map_err(anyhow::Error::from)
        } else {
            let address = Email::try_from(line.to_owned()).map_err(anyhow::Error::msg);
            address.map(|address| NewSuppression {
                address,
                category,
                cause,
                note: ecomm::shop::text::OptionalLine::default(),
                expires_at: None,
            })
        };
        let new: NewSuppression = new.with_context(|| format!("line {n}"))?;
        // One whose time is over stands against nobody.
        if new.expires_at.is_none_or(|until| until > now) {
            all.push(new);
        }
    }
    Ok(all)
}

fn listed(entries: &[Suppression]) -> String {
    let mut rows = vec![row(&["ID", "ADDRESS", "MAILS", "CAUSE", "SINCE", "UNTIL", "SOURCE", "NOTE"])];
    for Suppression { id, address, category, cause, source, note, created_at, expires_at } in entries {
        let address = address.as_deref().unwrap_or("(the user has left)");
        let until = expires_at.map(rfc3339::text).unwrap_or_default();
        let (id, since) = (id.to_string(), rfc3339::text(*created_at));
        rows.push(row(&[&id, address, category.as_str(), cause.as_str(), &since, &until, source, note]));
    }
    table(&rows)
}
