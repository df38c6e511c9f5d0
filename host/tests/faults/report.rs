//! The tables that are printed at the end, and stand in the book.

use std::fmt;

use clap::ValueEnum as _;

use crate::Arguments;
use crate::database::Kind;
use crate::judge::Verdict;
use crate::scenarios::Scenario;

pub struct Report {
    command: String,
    rows: Vec<(Kind, Scenario, Verdict)>,
    left_out: usize,
    missing: usize,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Self {
        let long = if arguments.long { " --long" } else { "" };
        let value = |kind: &Kind| kind.to_possible_value().map(|value| value.get_name().to_owned());
        let databases: Vec<_> = arguments.database.iter().filter_map(value).collect();
        let names = arguments.names.join(" ");
        let command = format!(
            "cargo test --release --test faults -- --seed {} --rate {} --database {}{long} {names}",
            arguments.seed,
            arguments.rate,
            databases.join(",")
        );
        Self { command, rows: Vec::new(), left_out: 0, missing: 0 }
    }

    pub fn add(&mut self, kind: Kind, scenario: Scenario, verdict: Verdict) {
        println!("  {}", in_a_line(&verdict));
        for (what, count) in wrong(scenario, &verdict) {
            println!("  WRONG: {count} {what}");
        }
        verdict.wrong.iter().take(10).for_each(|what| println!("  {what}"));
        self.rows.push((kind, scenario, verdict));
    }

    /// Counts one that was not run, which may have been asked for.
    pub fn leave_out(&mut self, is_missing: bool) {
        if is_missing {
            self.missing += 1;
        } else {
            self.left_out += 1;
        }
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|(_, scenario, verdict)| is_wrong(*scenario, verdict)).count() + self.missing
    }

    pub fn has_failed(&self) -> bool {
        self.failed() > 0
    }

    /// As of other tests.
    pub fn summary(&self) -> String {
        let (failed, left_out) = (self.failed(), self.left_out);
        let result = if failed == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {result}. {} passed; {failed} failed; {left_out} ignored",
            (self.rows.len() + self.missing) - failed
        )
    }
}

/// What must not be, of what was counted.
fn wrong(scenario: Scenario, verdict: &Verdict) -> Vec<(&'static str, usize)> {
    let burnt = [("attempts charged", verdict.charged), ("mails in doubt", verdict.doubts)];
    let graceful = burnt.into_iter().filter(|_| scenario.is_graceful());
    let wrong = verdict.must_be_none().into_iter().chain(graceful).filter(|(_, count)| *count > 0);
    wrong.filter(|(what, _)| !scenario.may_lead_to(what)).collect()
}

fn is_wrong(scenario: Scenario, verdict: &Verdict) -> bool {
    !wrong(scenario, verdict).is_empty()
        || (!verdict.wrong.is_empty() && !scenario.may_lead_to("anything"))
        || verdict.events == 0
}

fn in_a_line(v: &Verdict) -> String {
    format!(
        "{} events in {} s, {} faults: {} lost, {} overtaken, {} late; {} arrived again ({} in doubt, {} unexplained); {} given \
         up; requests: {} failed, {} refused, {} cut; mail after {}; after a kill {}",
        v.events,
        v.load_ms / 1_000,
        v.faults,
        v.lost,
        v.overtaken,
        v.late,
        v.duplicates,
        v.doubts,
        v.unexplained,
        v.given_up,
        v.failed_requests,
        v.refused_requests,
        v.cut_requests,
        percentiles(&v.ages),
        percentiles(&v.recoveries)
    )
}

/// The median, 99 of 100 and the largest, in milliseconds.
fn percentiles(sorted: &[i64]) -> String {
    let at = |hundredths: usize| sorted.get((sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1)));
    match (at(50), at(99), sorted.last()) {
        (Some(middle), Some(most), Some(all)) => format!("{middle} / {most} / {all}"),
        _ => "–".to_owned(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}`", self.command)?;
        let mut kinds: Vec<Kind> = self.rows.iter().map(|(kind, ..)| *kind).collect();
        kinds.dedup();
        for kind in kinds {
            writeln!(f, "\n### {}\n", kind.name())?;
            writeln!(
                f,
                "| scenario | events | faults | lost | overtaken | late | arrived again | in doubt | unexplained | requests failed | \
                 mail after, ms | after a kill, ms |"
            )?;
            writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
            for (_, scenario, v) in self.rows.iter().filter(|(of, ..)| *of == kind) {
                writeln!(
                    f,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    scenario.name(),
                    v.events,
                    v.faults,
                    v.lost,
                    v.overtaken,
                    v.late,
                    v.duplicates,
                    v.doubts,
                    v.unexplained,
                    v.failed_requests,
                    percentiles(&v.ages),
                    percentiles(&v.recoveries)
                )?;
            }
        }
        Ok(())
    }
}
