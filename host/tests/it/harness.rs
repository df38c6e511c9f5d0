//! How the tests are listed and run. Unlike the test harness of the language this one can say of a test that it was
//! ignored because its database is not there. A test that is in no list is dead code, and does not compile.

use std::future::Future;

use libtest_mimic::{Failed, Trial};

use crate::database::{Database, Kind};

/// Lists a file's tests: `once` and `on_each_database` on a runtime of two threads, `on_one_thread` on one,
/// `without_runtime` without.
macro_rules! tests {
    ($($how:ident { $($name:ident)* })*) => {
        pub fn tests() -> Vec<libtest_mimic::Trial> {
            let mut tests = Vec::new();
            $($(tests.extend($crate::harness::tests!(@ $how $name));)*)*
            tests
        }
    };
    (@ once $name:ident) => {
        [$crate::harness::trial(concat!(module_path!(), "::", stringify!($name)), || $crate::harness::run(2, $name()))]
    };
    (@ on_one_thread $name:ident) => {
        [$crate::harness::trial(concat!(module_path!(), "::", stringify!($name)), || $crate::harness::run(1, $name()))]
    };
    (@ without_runtime $name:ident) => {
        [$crate::harness::trial(concat!(module_path!(), "::", stringify!($name)), $name)]
    };
    (@ on_each_database $name:ident) => {
        $crate::harness::on(&$crate::database::Kind::ALL, concat!(module_path!(), "::", stringify!($name)), 2, $name)
    };
    (@ on_each_server $name:ident) => {
        $crate::harness::on(&$crate::database::Kind::SERVERS, concat!(module_path!(), "::", stringify!($name)), 2, $name)
    };
    (@ behind_each_pooler $name:ident) => {
        $crate::harness::on(&$crate::database::Kind::POOLERS, concat!(module_path!(), "::", stringify!($name)), 2, $name)
    };
    (@ on_each_server_on_one_thread $name:ident) => {
        $crate::harness::on(&$crate::database::Kind::SERVERS, concat!(module_path!(), "::", stringify!($name)), 1, $name)
    };
}
pub(crate) use tests;

/// One test.
pub fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name.trim_start_matches("it::"), move || {
        test();
        Ok(())
    })
}

/// The same test on each of the databases. One that is not there is ignored, or a failure where all are asked for.
pub fn on<F: Future<Output = ()>>(
    kinds: &[Kind],
    name: &str,
    threads: usize,
    test: impl FnOnce(Database) -> F + Copy + Send + 'static,
) -> Vec<Trial> {
    let on = |kind: Kind| {
        let name = format!("{}::{}", name.trim_start_matches("it::"), kind.name());
        if let Some(why) = kind.is_missing() {
            return missing(name, why, !kind.is_asked_for());
        }
        trial(&name, move || run(threads, async move { test(Database::fresh(kind).await).await }))
    };
    kinds.iter().copied().map(on).collect()
}

/// A test that lacks something: ignored, or a failure that says what.
pub fn missing(name: String, why: impl Into<Failed> + Send + 'static, is_ignored: bool) -> Trial {
    Trial::test(name, move || Err(why.into())).with_ignored_flag(is_ignored)
}

/// The same of what is no database: a failure where all tests are asked for.
pub fn lacking(name: String, why: impl Into<Failed> + Send + 'static) -> Trial {
    missing(name, why, std::env::var_os("ECOMM_TEST_ALL").is_none())
}

/// Runs a test on a runtime of its own.
pub fn run(threads: usize, test: impl Future<Output = ()>) {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().unwrap().block_on(test);
}
