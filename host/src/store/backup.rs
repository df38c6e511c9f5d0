//! Backups of an embedded database: one file, as of one moment, while hosts go on. What was restored may be older than what was
//! delivered, and says so of each mail.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use super::{Store, with_tx};
use crate::store;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// The newest migration of its schema; none: it has no schema.
    pub schema: Option<i64>,
    /// Notifications that are queued in it.
    pub queued: i64,
}

/// Why a backup was not made, or not restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Files are not replaced.
    #[error("{} is there already; name another file, or take it away", .0.display())]
    Exists(PathBuf),
    /// The database is a server, whose own tool knows how.
    #[error("only an embedded database (sqlite:) is a file; back this one up with {0}")]
    Server(&'static str),
    /// There is nothing to back up.
    #[error("{} is not there; database.url names it", .0.display())]
    Missing(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk has no room for it.
    #[error("there is no room for {}: about {needed} bytes are needed", path.display())]
    Full {
        /// Where.
        path: PathBuf,
        /// What the database takes.
        needed: u64,
    },
    /// The file is no whole database.
    #[error("{} is no whole database: {why}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is of a newer program.
    #[error("{} has schema {schema}, and this program knows {known}; restore it with the program that made it", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its newest migration.
        schema: i64,
        /// This program's.
        known: i64,
    },
    /// A host has the database open.
    #[error("{} is in use; stop the hosts first", .0.display())]
    InUse(PathBuf),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<sqlx::Error> for BackupError {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

/// How long another connection may keep a database that is to be replaced.
const BUSY: Duration = Duration::from_secs(2);

/// The file of an embedded database.
pub fn file_of(url: &str) -> Result<PathBuf, BackupError> {
    if url.starts_with("mysql:") || url.starts_with("mariadb:") {
        return Err(BackupError::Server("mariadb-dump --single-transaction --no-autocommit, or mysqldump"));
    }
    if url.starts_with("postgres") {
        return Err(BackupError::Server("pg_dump --format=custom"));
    }
    Store::sqlite_path(url).ok_or(BackupError::Store(store::Error::Url))
}

/// Writes what is committed into a file that is not there yet. Hosts may go on; what they commit meanwhile is not in it. The file
/// is its owner's alone, and named as asked once it is whole and on the disk.
pub async fn back_up(url: &str, to: &Path) -> Result<Backup, BackupError> {
    let from = file_of(url)?;
    if !from.is_file() {
        return Err(BackupError::Missing(from));
    }
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let part = with(to, ".part");
    let made = copy(url, &from, &part).await;
    let made = match made {
        Ok(()) => check(&part).await,
        Err(e) => Err(e),
    };
    let named = made.and_then(|backup| {
        // A link replaces nothing, not even what came there meanwhile.
        fs::hard_link(&part, to).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
            _ => BackupError::File { path: to.to_owned(), source },
        })?;
        Ok(backup)
    });
    discard(&part);
    let backup = named?;
    on_disk(to)?;
    Ok(backup)
}

async fn copy(url: &str, from: &Path, part: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: part.to_owned(), source };
    // What a backup that was broken off left.
    discard(part);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(failed)?;
    let options = SqliteConnectOptions::from_str(url)?.create_if_missing(false).busy_timeout(BUSY);
    let mut connection = options.connect().await?;
    let name = part.to_str().ok_or_else(|| failed(io::Error::other("its name is no text")))?;
    let copied = sqlx::query("vacuum into $1").bind(name).execute(&mut connection).await;
    if let Err(e) = copied {
        // SQLITE_FULL (https://www.sqlite.org/rescode.html#full), and SQLITE_IOERR where a quota ends it.
        let code = e.as_database_error().and_then(DatabaseError::code).map(Cow::into_owned);
        if code.as_deref() == Some("13") {
            let needed = fs::metadata(from).map_or(0, |file| file.len());
            return Err(BackupError::Full { path: part.to_owned(), needed });
        }
        return Err(e.into());
    }
    connection.close().await?;
    File::open(part).and_then(|file| file.sync_all()).map_err(failed)
}

/// Whether a file is a whole database of this program or of one before it, and what is in it.
pub async fn check(file: &Path) -> Result<Backup, BackupError> {
    let broken = |why: String| BackupError::Broken { path: file.to_owned(), why };
    let bytes = fs::metadata(file).map_err(|source| BackupError::File { path: file.to_owned(), source })?.len();
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let mut connection = options.connect().await.map_err(|e| broken(e.to_string()))?;
    let read = async |connection: &mut SqliteConnection| {
        let pages: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut *connection).await?;
        let page: i64 = sqlx::query_scalar("pragma page_size").fetch_one(&mut *connection).await?;
        let says: Vec<String> = sqlx::query_scalar("pragma quick_check(1)").fetch_all(&mut *connection).await?;
        let tables =
            "select count(*) from sqlite_schema where name in ('_sqlx_migrations', 'notification_events_queue')";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut *connection).await?;
        let (mut schema, mut queued) = (None, 0);
        if tables == 2 {
            let sql = "select max(version) from _sqlx_migrations";
            schema = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
            queued = sqlx::query_scalar("select count(*) from notification_events_queue").fetch_one(connection).await?;
        }
        Ok::<_, sqlx::Error>((pages * page, says, schema, queued))
    };
    let (size, says, schema, queued) = read(&mut connection).await.map_err(|e| broken(e.to_string()))?;
    let _ = connection.close().await;
    if u64::try_from(size) != Ok(bytes) {
        return Err(broken(format!("it has {bytes} bytes of {size}")));
    }
    if says != ["ok"] {
        return Err(broken(says.join("; ")));
    }
    let known = Store::schema_known();
    match schema {
        None => Err(broken("it has not the tables of a shop".to_owned())),
        Some(schema) if schema > known => Err(BackupError::Newer { path: file.to_owned(), schema, known }),
        Some(_) => Ok(Backup { bytes, schema, queued }),
    }
}

/// A database that is to be replaced: nobody else has it open, nor can open it meanwhile.
pub struct Replaced {
    path: PathBuf,
    /// None: there was none.
    held: Option<SqliteConnection>,
}

impl Replaced {
    /// Takes the database of a URL away from everybody else.
    pub async fn hold(url: &str) -> Result<Self, BackupError> {
        let path = file_of(url)?;
        if !path.exists() {
            return Ok(Self { path, held: None });
        }
        let options = SqliteConnectOptions::from_str(url)?.create_if_missing(false).busy_timeout(BUSY);
        let mut held = options.connect().await?;
        // In this mode a connection shares the file with none, whether they write or not.
        let alone = async {
            held.execute("pragma locking_mode = exclusive").await?;
            held.execute("begin exclusive").await?;
            held.execute("commit").await?;
            // Into the file itself: it is all there is of the database from now on.
            let mode: String = sqlx::query_scalar("pragma journal_mode = delete").fetch_one(&mut held).await?;
            Ok::<_, sqlx::Error>(mode)
        };
        match alone.await {
            Ok(mode) if mode == "delete" => Ok(Self { path, held: Some(held) }),
            // SQLITE_BUSY and SQLITE_LOCKED, with whatever more they say.
            Ok(_) => Err(BackupError::InUse(path)),
            Err(e) => {
                let code = e.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok());
                let is_busy = code.is_some_and(|code| [5, 6].contains(&(code & 0xff)));
                Err(if is_busy { BackupError::InUse(path) } else { e.into() })
            }
        }
    }

    /// A copy of a backup beside it, to be worked on before it takes the place.
    pub fn draft(&self, from: &Path) -> Result<PathBuf, BackupError> {
        let draft = with(&self.path, ".restoring");
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                BackupError::Full { path: draft.clone(), needed: fs::metadata(from).map_or(0, |file| file.len()) }
            }
            _ => BackupError::File { path: draft.clone(), source },
        };
        discard(&draft);
        let copied = || {
            let mut from = File::open(from)?;
            let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        };
        copied().map_err(|e| {
            let e = failed(e);
            discard(&draft);
            e
        })?;
        Ok(draft)
    }

    /// Puts a draft into its place; where the database that was there is now.
    pub async fn by(self, draft: &Path, now_ms: i64) -> Result<Option<PathBuf>, BackupError> {
        let failed = |source| BackupError::File { path: self.path.clone(), source };
        if with(draft, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
            return Err(failed(io::Error::other("the draft was not written whole")));
        }
        on_disk(draft)?;
        let kept = self.held.is_some().then(|| with(&self.path, &format!(".before-{now_ms}")));
        if let Some(kept) = &kept {
            fs::hard_link(&self.path, kept).map_err(failed)?;
        }
        // One step: whoever opens it finds the one or the other.
        fs::rename(draft, &self.path).map_err(failed)?;
        on_disk(&self.path)?;
        if let Some(held) = self.held {
            held.close().await?;
        }
        Ok(kept)
    }
}

/// Takes a draft away, and what `SQLite` keeps beside it.
pub fn discard(draft: &Path) {
    for more in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(with(draft, more));
    }
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Sees to it that a file and its name are on the disk.
fn on_disk(path: &Path) -> Result<(), BackupError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(path).and_then(|file| file.sync_all()).and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(|source| BackupError::File { path: path.to_owned(), source })
}

impl Store {
    /// Says of all that is queued that it may have been delivered: after a restore, since what was delivered after the backup
    /// is not known. Each is tried again as any mail in doubt is, on record and with the Message-ID that it had. How many.
    pub async fn put_in_doubt(&self) -> store::Result<u64> {
        let now = self.dialect().now_ms(self.offset_ms());
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql(&format!(
            "insert into notification_attempts (state_id, epoch, kind, repeats, started_at) \
             select q.state_id, q.epoch, 'send', 1, {now} from notification_events_queue q where q.phase = 0"
        ));
        let marked = with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(|done| done.rows_affected()))?;
        // What failed before is no reason to give up now.
        let sql = tx
            .dialect()
            .sql("update notification_events_queue set phase = 1, attempts = 0, claims = 0 where phase = 0");
        with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(marked)
    }
}
