//! Job queues that compete with the host's, measured from the queue to the mail. `cargo run --release`, with
//! `ECOMM_TEST_POSTGRES_URL` naming a server, prints a table of medians. The runs of the peers take turns, so that a
//! slow minute of the machine is nobody's own.

#![expect(clippy::disallowed_methods, reason = "it measures time, and the peers spawn as their own examples do")]

mod apalis;
mod bare;
mod database;
mod graphile;
mod host;
mod mail;
mod sink;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use sqlx::PgPool;
use tokio::sync::Notify;

use database::Database;
use mail::{Mailer, Order};
use sink::Sink;

/// The host's allocator, for the peers as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Above it, something hangs.
const RUN_MAX: Duration = Duration::from_mins(10);

/// Measures job queues end to end: mails per second, and jobs per second that do nothing.
#[derive(Parser)]
struct Arguments {
    /// Jobs in the queue before each run.
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// Runs of each peer; the medians are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// SMTP connections of each worker.
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// An SMTP server to send to, HOST:PORT, instead of the one in this process.
    #[arg(long)]
    sink: Option<String>,
    /// How long the sink in this process takes over each answer, in milliseconds.
    #[arg(long, default_value_t = 0)]
    answer_ms: u64,
    /// The host's release program, measured beside them.
    #[arg(long)]
    ecomm: Option<PathBuf>,
    /// Measures the host alone, with so many workers after each other, such as 1,2,4,8.
    #[arg(long, value_delimiter = ',', requires = "ecomm")]
    workers: Vec<usize>,
    /// Measures these peers only.
    #[arg(long)]
    only: Vec<String>,
    /// The `PostgreSQL` server; each run makes a database there and drops it.
    #[arg(long, env = "ECOMM_TEST_POSTGRES_URL", hide_env_values = true)]
    database_url: String,
}

/// A job queue and its worker.
trait Peer: Sized + Send + 'static {
    const NAME: &str;
    const CONFIG: &str;
    /// Counts the jobs that are not recorded as done.
    const LEFT: &str;

    /// Creates the tables and adds a job for each order.
    async fn fill(pool: &PgPool, orders: Vec<Order>);

    /// A worker that can start at once; its jobs share so many SMTP connections.
    async fn ready(pool: &PgPool, work: Work, connections: usize) -> Self;

    /// Works until `stop`, and records all that it has done before it returns.
    fn run(self, stop: Arc<Notify>) -> impl Future<Output = ()> + Send;
}

/// What a job does.
#[derive(Clone, Debug)]
enum Work {
    Mail(Arc<Mailer>),
    Nothing(Arc<Tally>),
}

impl Work {
    async fn run(&self, order: &Order) {
        match self {
            Work::Mail(mailer) => mailer.send(order).await,
            Work::Nothing(tally) => tally.add(),
        }
    }
}

/// Counts what has been done, and tells when it is all.
#[derive(Debug)]
struct Tally {
    count: AtomicUsize,
    all: usize,
    first: Notify,
    reached: Notify,
}

impl Tally {
    fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), all, first: Notify::new(), reached: Notify::new() })
    }

    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count == 1 {
            self.first.notify_one();
        }
        if count == self.all {
            self.reached.notify_one();
        }
    }

    /// When the first was done.
    async fn began(&self) -> Instant {
        tokio::time::timeout(RUN_MAX, self.first.notified()).await.expect("it begins");
        Instant::now()
    }

    /// When the last is done.
    async fn reached(&self) {
        tokio::time::timeout(RUN_MAX, self.reached.notified()).await.expect("it does not hang");
    }
}

struct Run {
    /// From the worker's start to the last job.
    elapsed: Duration,
    /// From the worker's start until it has stopped with everything recorded.
    recorded: Duration,
    /// The processor time of this process, the sink's included.
    processor: Duration,
}

#[derive(Default)]
struct Figures {
    name: &'static str,
    config: &'static str,
    mails: Vec<Run>,
    nothing: Vec<Run>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    if let (Some(program), false) = (&arguments.ecomm, arguments.workers.is_empty()) {
        return scale(program, &arguments).await;
    }
    let host = Figures { name: host::NAME, config: host::CONFIG, ..Figures::default() };
    let [bare, graphile, apalis] =
        [Figures::of::<bare::Bare>(), Figures::of::<graphile::Graphile>(), Figures::of::<apalis::Apalis>()];
    let mut table = [bare, graphile, apalis, host];
    for run in 1..=arguments.runs {
        let [bare, graphile, apalis, host] = &mut table;
        bare.measure::<bare::Bare>(&arguments, run).await;
        graphile.measure::<graphile::Graphile>(&arguments, run).await;
        apalis.measure::<apalis::Apalis>(&arguments, run).await;
        if let Some(program) = &arguments.ecomm {
            host.mails.push(host::run(program, &arguments).await);
            eprintln!("run {run}: ecomm");
        }
    }
    print(&table, &arguments);
}

/// How much more several workers do than one, on one machine with their database.
async fn scale(program: &Path, arguments: &Arguments) {
    println!("{} mails, {} SMTP connections of each worker", arguments.jobs, arguments.connections);
    println!("workers   mails/s   µs/mail: workers   database   claims   in vain");
    for &workers in &arguments.workers {
        let mut runs = Vec::new();
        for _ in 0..arguments.runs {
            runs.push(host::scaled(program, arguments, workers).await);
        }
        let of = |figure: &dyn Fn(&host::Scaled) -> f64| median(runs.iter().map(figure).collect());
        let each =
            |time: Duration| time.as_secs_f64() * 1e6 / f64::from(u32::try_from(arguments.jobs).unwrap_or(u32::MAX));
        println!(
            "{workers:>7} {:>9.0} {:>18.0} {:>10.0} {:>8.0} {:>9.0}",
            of(&|scaled| rate(arguments.jobs, scaled.run.elapsed)),
            of(&|scaled| each(scaled.run.processor)),
            of(&|scaled| each(scaled.database)),
            of(&|scaled| scaled.claims.0),
            of(&|scaled| scaled.claims.1)
        );
    }
}

impl Figures {
    fn of<P: Peer>() -> Self {
        Self { name: P::NAME, config: P::CONFIG, ..Self::default() }
    }

    async fn measure<P: Peer>(&mut self, arguments: &Arguments, run: usize) {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == P::NAME) {
            return;
        }
        let (jobs, tally) = (arguments.jobs, Tally::new(arguments.jobs));
        let (mailer, sink) = mailer(arguments, &tally).await;
        self.mails.push(one::<P>(arguments, Work::Mail(mailer), &tally).await);
        drop(sink);
        let tally = Tally::new(jobs);
        self.nothing.push(one::<P>(arguments, Work::Nothing(tally.clone()), &tally).await);
        if let (Some(mails), Some(nothing)) = (self.mails.last(), self.nothing.last()) {
            let (mails, nothing) = (rate(jobs, mails.elapsed), rate(jobs, nothing.elapsed));
            eprintln!("run {run}: {} {mails:.0} mails/s, {nothing:.0} no-op jobs/s", P::NAME);
        }
    }
}

/// Connections to a sink of its own, or to the one that is named; that one's answers are counted where they arrive.
async fn mailer(arguments: &Arguments, tally: &Arc<Tally>) -> (Arc<Mailer>, Option<Sink>) {
    if let Some(address) = &arguments.sink {
        return (Mailer::connect(address, arguments.connections, Some(tally.clone())).await, None);
    }
    let sink = Sink::start(Duration::from_millis(arguments.answer_ms), tally.clone()).await;
    (Mailer::connect(&sink.address.to_string(), arguments.connections, None).await, Some(sink))
}

async fn one<P: Peer>(arguments: &Arguments, work: Work, tally: &Tally) -> Run {
    let database = Database::fresh(&arguments.database_url).await;
    P::fill(&database.pool, (0..).take(arguments.jobs).map(Order::numbered).collect()).await;
    database.settle().await;
    let peer = P::ready(&database.pool, work, arguments.connections).await;
    let stop = Arc::new(Notify::new());
    let (begun, used) = (Instant::now(), processor());
    let mut worker = tokio::spawn(peer.run(stop.clone()));
    tokio::select! {
        biased;
        () = tally.reached.notified() => {}
        ended = &mut worker => panic!("{} ended before its jobs: {ended:?}", P::NAME),
        () = tokio::time::sleep(RUN_MAX) => panic!("{} hangs at {:?}", P::NAME, tally.count),
    }
    let (elapsed, processor) = (begun.elapsed(), processor().saturating_sub(used));
    stop.notify_one();
    worker.await.expect("the worker stops");
    let recorded = begun.elapsed();
    assert_eq!(tally.count.load(Ordering::Relaxed), arguments.jobs, "{}: each job is done once", P::NAME);
    let left: i64 = sqlx::query_scalar(P::LEFT).fetch_one(&database.pool).await.expect("a count");
    assert_eq!(left, 0, "{}: each job is recorded as done", P::NAME);
    database.remove().await;
    Run { elapsed, recorded, processor }
}

/// The processor time this process has used; zero where the kernel does not tell.
fn processor() -> Duration {
    processor_of(std::process::id())
}

/// The same of another process.
fn processor_of(pid: u32) -> Duration {
    stat(pid).used
}

/// The same of all processes of the server that the process with this number is one of.
fn processor_of_server(of: u32) -> Duration {
    let server = stat(of).parent;
    let Ok(processes) = std::fs::read_dir("/proc") else { return Duration::ZERO };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let running: Duration =
        numbers.map(stat).filter(|process| process.parent == server).map(|process| process.used).sum();
    running + stat(server).used_by_ended
}

/// What the kernel says of a process; nothing where it does not tell.
#[derive(Default)]
struct Stat {
    parent: u32,
    used: Duration,
    /// By processes that it started and that have ended.
    used_by_ended: Duration,
}

fn stat(pid: u32) -> Stat {
    const TICKS_PER_SECOND: u64 = 100;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return Stat::default() };
    // The name of the program, in brackets, may contain blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    let time = |at: usize| Duration::from_millis((number(at) + number(at + 1)) * 1_000 / TICKS_PER_SECOND);
    Stat { parent: u32::try_from(number(1)).unwrap_or_default(), used: time(11), used_by_ended: time(13) }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(jobs: usize, elapsed: Duration) -> f64 {
    jobs as f64 / elapsed.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) { f64::midpoint(figures[middle - 1], figures[middle]) } else { figures[middle] }
}

fn print(table: &[Figures], arguments: &Arguments) {
    let Arguments { jobs, runs, connections, answer_ms, .. } = arguments;
    let jobs = *jobs;
    let sink =
        arguments.sink.as_deref().map_or_else(|| format!("answers after {answer_ms} ms"), |at| format!("at {at}"));
    println!("{jobs} jobs, medians of {runs} runs, {connections} SMTP connections, sink {sink}");
    println!(
        "(recorded: until the worker has stopped with everything recorded; µs: of this process, worker and sink)\n"
    );
    println!("peer              mails/s  recorded  µs/mail  no-op/s  recorded  configuration");
    for figures in table.iter().filter(|figures| !figures.mails.is_empty()) {
        let of =
            |runs: &[Run], time: fn(&Run) -> Duration| median(runs.iter().map(|run| rate(jobs, time(run))).collect());
        let nothing = |runs: &[Run], time: fn(&Run) -> Duration| {
            if runs.is_empty() { "-".to_owned() } else { format!("{:.0}", of(runs, time)) }
        };
        println!(
            "{:<16}{:>9.0}{:>10.0}{:>9.0}{:>9}{:>10}  {}",
            figures.name,
            of(&figures.mails, |run| run.elapsed),
            of(&figures.mails, |run| run.recorded),
            median(figures.mails.iter().map(|run| 1e6 / rate(jobs, run.processor)).collect()),
            nothing(&figures.nothing, |run| run.elapsed),
            nothing(&figures.nothing, |run| run.recorded),
            figures.config
        );
    }
}
