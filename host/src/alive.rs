//! Whether a process of this machine is still there.

use std::fs;

/// Where the state stands in what follows a process's name in `/proc/PID/stat`, and where its start (proc(5)).
const STATE_FIELD: usize = 0;
const STARTED_FIELD: usize = 19;

/// A process, told apart from those that had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// This run of the machine, and which numbers are meant; empty where that cannot be known.
    pub(crate) machine: String,
    pub(crate) pid: i64,
    /// When it started, in the kernel's ticks since the machine did.
    pub(crate) started: i64,
}

impl Process {
    /// This one.
    pub(crate) fn this() -> Self {
        let pid = i64::from(std::process::id());
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let numbers = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
        let machine = match (boot.trim(), &*numbers) {
            ("", _) | (_, "") => String::new(),
            (boot, numbers) => format!("{boot} {numbers}"),
        };
        Self { machine, pid, started: started(pid).unwrap_or_default() }
    }

    /// Whether it is certain that it has ended, as seen from `this` process: of another machine nothing is.
    pub(crate) fn is_over(&self, this: &Self) -> bool {
        !self.machine.is_empty() && self.machine == this.machine && started(self.pid) != Some(self.started)
    }
}

/// When the process of that number started; none: there is none, or it has ended and nobody has asked how.
fn started(pid: i64) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, parentheses too.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let is_over = matches!(*fields.get(STATE_FIELD)?, "Z" | "X");
    if is_over { None } else { fields.get(STARTED_FIELD)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn an_end_is_certain_on_the_same_machine_alone() {
        let this = Process::this();
        assert!(!this.is_over(&this));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i64::from(child.id());
        let other = Process { pid, started: super::started(pid).unwrap(), ..this.clone() };
        assert!(!other.is_over(&this));
        child.kill().unwrap();
        while super::started(pid).is_some() {
            std::thread::yield_now();
        }
        assert!(other.is_over(&this), "killed, and not waited for");
        child.wait().unwrap();
        assert!(other.is_over(&this));
        let elsewhere = Process { machine: "another".to_owned(), ..other.clone() };
        let unknown = Process { machine: String::new(), ..other };
        assert!(!elsewhere.is_over(&this) && !unknown.is_over(&unknown));
    }
}
