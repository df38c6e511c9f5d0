//! The limits of a provider's account, for tests and measurements: so many mails in any second, so many connections.

use std::collections::VecDeque;

/// What the mailbox takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Mails in any second, counted after the final dot; more are answered with 454 4.7.0.
    pub mails_per_second_max: usize,
    /// Connections at one time; more are greeted with 421 4.3.2.
    pub connections_max: usize,
}

impl Default for Limits {
    /// None.
    fn default() -> Self {
        Self { mails_per_second_max: usize::MAX, connections_max: usize::MAX }
    }
}

/// How often a limit was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Mails answered with 454.
    pub mails: u64,
    /// Connections answered with 421.
    pub connections: u64,
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) limits: Limits,
    pub(super) refused: Refused,
    connections: usize,
    taken: VecDeque<i64>,
}

impl Account {
    /// Opens a connection; false: there are too many.
    pub(super) fn connect(&mut self) -> bool {
        self.connections += 1;
        let takes = self.connections <= self.limits.connections_max;
        self.refused.connections += u64::from(!takes);
        takes
    }

    pub(super) fn disconnect(&mut self) {
        self.connections -= 1;
    }

    /// Takes a mail; false: there were too many in the last second.
    pub(super) fn take(&mut self, now_ms: i64) -> bool {
        if self.limits.mails_per_second_max == usize::MAX {
            return true;
        }
        while self.taken.front().is_some_and(|at| now_ms - at >= 1_000) {
            self.taken.pop_front();
        }
        let takes = self.taken.len() < self.limits.mails_per_second_max;
        if takes {
            self.taken.push_back(now_ms);
        }
        self.refused.mails += u64::from(!takes);
        takes
    }
}
