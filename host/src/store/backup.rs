//! Backups of an embedded database: one file, as of one moment, while hosts go on. What was restored may be older than what was
//! delivered, and says so of each mail.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
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
    #[error("{} has schema {schema}, and this program knows {known}; it takes the newer program", path.display())]
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
    let part = with(to, &format!(".part-{}", std::process::id()));
    let made = copy(url, &from, &part).await;
    let made = match made {
        Ok(()) => check(&part).await,
        Err(e) => Err(e),
    };
    let named = made.and_then(|backup| {
        give_name(&part, to)?;
        Ok(backup)
    });
    discard(&part);
    let backup = named?;
    on_disk(to)?;
    Ok(backup)
}

/// Names a file as nothing is named yet, not even what came there meanwhile.
fn give_name(part: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::File { path: to.to_owned(), source },
    };
    match renameat_with(CWD, part, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that knows no such renaming.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(part, to).map_err(failed),
        Err(e) => Err(failed(e.into())),
    }
}

async fn copy(url: &str, from: &Path, part: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: part.to_owned(), source };
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(failed)?;
    let options = SqliteConnectOptions::from_str(url)?.create_if_missing(false).busy_timeout(BUSY);
    let mut connection = options.connect().await?;
    let name = part.to_str().ok_or_else(|| failed(io::Error::other("its name is no text")))?;
    let copied = sqlx::query("vacuum into $1").bind(name).execute(&mut connection).await;
    if let Err(e) = copied {
        let e = store::Error::from(e);
        if e.is_full() {
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
    if ["-wal", "-journal"].iter().any(|more| with(file, more).metadata().is_ok_and(|log| log.len() > 0)) {
        return Err(broken("it is a database with a log beside it: give what `ecomm backup` makes of it".to_owned()));
    }
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
    /// None: what is there cannot be read.
    held: Option<SqliteConnection>,
    was_there: bool,
    owner: fs::Metadata,
}

impl Replaced {
    /// Takes the database of a URL away from everybody else. Where there is none, an empty one is held, so that nobody makes one
    /// meanwhile.
    pub async fn hold(url: &str, now_ms: i64) -> Result<Self, BackupError> {
        let named = file_of(url)?;
        let was_there = named.exists();
        // A link stays one.
        let path = named.canonicalize().unwrap_or(named);
        let failed = |source| BackupError::File { path: path.clone(), source };
        let owner = fs::metadata(if was_there { &path } else { folder_of(&path) }).map_err(failed)?;
        if !was_there {
            set_aside(&path, now_ms).map_err(failed)?;
        }
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).busy_timeout(BUSY);
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
        let replaced = |held| Self { path: path.clone(), held, was_there, owner };
        match alone.await {
            Ok(mode) if mode == "delete" => Ok(replaced(Some(held))),
            Ok(_) => Err(BackupError::InUse(path)),
            // SQLITE_BUSY and SQLITE_LOCKED; SQLITE_CORRUPT and SQLITE_NOTADB; with whatever more they say.
            Err(e) => match e.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok()).map(|code| code & 0xff) {
                Some(5 | 6) => Err(BackupError::InUse(path)),
                Some(11 | 26) => Ok(replaced(None)),
                _ => Err(e.into()),
            },
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a draft into its place; where the database that was there is now.
    pub async fn by(self, draft: &Path, now_ms: i64) -> Result<Option<PathBuf>, BackupError> {
        let failed = |source| BackupError::File { path: self.path.clone(), source };
        if with(draft, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
            return Err(failed(io::Error::other("the draft was not written whole")));
        }
        // Whoever restores may not be who serves.
        let _ = std::os::unix::fs::chown(draft, Some(self.owner.uid()), Some(self.owner.gid()));
        if self.was_there {
            fs::set_permissions(draft, self.owner.permissions()).map_err(failed)?;
        }
        on_disk(draft)?;
        let kept = self.was_there.then(|| with(&self.path, &format!(".before-{now_ms}")));
        if let Some(kept) = &kept {
            fs::hard_link(&self.path, kept).or_else(|_| fs::copy(&self.path, kept).map(drop)).map_err(failed)?;
        }
        if self.held.is_some() {
            // Its log is in it, and an index of none is of no use.
            let _ = fs::remove_file(with(&self.path, "-shm"));
        } else {
            // The log of what was there would be played into what comes.
            set_aside(&self.path, now_ms).map_err(failed)?;
        }
        // One step: whoever opens it finds the one or the other.
        fs::rename(draft, &self.path).map_err(failed)?;
        on_disk(&self.path)?;
        if let Some(held) = self.held {
            let _ = held.close().await;
        }
        Ok(kept)
    }

    /// Leaves it as it was.
    pub async fn let_go(self) {
        let Self { path, held, was_there, .. } = self;
        if let Some(held) = held {
            let _ = held.close().await;
        }
        if !was_there {
            discard(&path);
        }
    }
}

/// Puts what `SQLite` left beside a database out of its way, to where the database goes as well.
fn set_aside(path: &Path, now_ms: i64) -> io::Result<()> {
    for more in ["-wal", "-shm", "-journal"] {
        let (log, kept) = (with(path, more), with(path, &format!(".before-{now_ms}{more}")));
        if log.exists() {
            fs::rename(log, kept)?;
        }
    }
    Ok(())
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Sees to it that a file and its name are on the disk.
fn on_disk(path: &Path) -> Result<(), BackupError> {
    let synced =
        File::open(path).and_then(|file| file.sync_all()).and_then(|()| File::open(folder_of(path))?.sync_all());
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
        // What failed before, and how long ago, is no reason to give up now.
        let sql = tx.dialect().sql(&format!(
            "update notification_events_queue set phase = 1, attempts = 0, claims = 0, created_at = {now}"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(marked)
    }

    /// Leaves out numbers that were given to what was lost since: links, tokens and letters name orders and users by theirs. For an
    /// embedded database; servers have sequences of their own.
    pub async fn skip_numbers(&self) -> store::Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("update sqlite_sequence set seq = seq + $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(SKIPPED).execute(c).await.map(drop))?;
        tx.commit().await
    }
}

/// More than a shop with an embedded database gives out between a backup and what ends its database.
const SKIPPED: i64 = 100_000;
