//! From what a policy answers to what becomes of the event. Pure.

use super::{Admission, Caps, Class, Failure, Holding, State, Transition, Verdict, bounded};

/// From an answer to `admit` to what becomes of the event; None: send it, by the named relay.
/// `Wait` is honoured until the event is older than the age cap and the longest wait together.
pub fn admit(admission: &Admission, caps: &Caps, age_ms: i64) -> Option<Transition> {
    match admission {
        Admission::Send(_) => None,
        Admission::Wait(_) if age_ms >= caps.age_max_ms.saturating_add(signed(caps.wait_max_ms)) => {
            Some(Transition::End {
                state: State::Failed,
                reason: format!("queued for {} h, the host's cap", age_ms / 3_600_000),
            })
        }
        Admission::Wait(ms) => {
            Some(Transition::Later { delay_ms: signed((*ms).clamp(caps.wait_min_ms, caps.wait_max_ms)), relay: None })
        }
        Admission::Skip(why) => Some(Transition::End { state: State::Skipped, reason: bounded(why) }),
        Admission::Hold(holding) => Some(held(holding)),
        Admission::Merge => Some(Transition::Merge),
    }
}

/// Whether an event is past every cap: it is tried whatever is in the way, and charged, so that it comes to an end.
pub fn is_overdue(caps: &Caps, queued_at: i64, first_failed_at: Option<i64>, now: i64) -> bool {
    match first_failed_at {
        Some(first) => now - first >= caps.age_max_ms,
        None => now - queued_at >= caps.age_max_ms.saturating_add(signed(caps.wait_max_ms)),
    }
}

/// From a failure and its verdict to what becomes of the event. `attempts` includes the failure, `age_ms` counts from
/// the first one; `shortest_ms` is the shortest pause that this failure allows; `dice` is any number, for the jitter.
pub fn settle(verdict: &Verdict, caps: &Caps, attempts: u32, age_ms: i64, shortest_ms: u64, dice: u64) -> Transition {
    match verdict {
        Verdict::GiveUp(why) => Transition::End { state: State::Failed, reason: bounded(why) },
        Verdict::Hold(holding) => held(holding),
        Verdict::Retry(..) if attempts >= caps.attempts_max => {
            Transition::End { state: State::Failed, reason: format!("{attempts} attempts failed, the host's cap") }
        }
        Verdict::Retry(..) if age_ms >= caps.age_max_ms => Transition::End {
            state: State::Failed,
            reason: format!("failing for {} h, the host's cap", age_ms / 3_600_000),
        },
        Verdict::Retry(ms, relay) => {
            let longest_ms = caps.retry_max_ms.max(shortest_ms);
            let asked = (*ms).clamp(shortest_ms, longest_ms);
            let width = u128::from(asked) * u128::from(caps.jitter_percent) / 100;
            let shift = u128::from(dice) % (2 * width + 1);
            let jittered = u64::try_from(u128::from(asked) + shift - width).unwrap_or(asked);
            Transition::Later { delay_ms: signed(jittered.clamp(shortest_ms, longest_ms)), relay: relay.clone() }
        }
    }
}

/// The built-in rule, for when the policy cannot answer: three attempts, 30 s and 2 min apart. A mail that is
/// throttled or greylisted is tried again without a limit but the host's cap of age.
pub fn native_verdict(failure: &Failure, attempts: u32) -> Verdict {
    match failure.class {
        Class::Rejected => Verdict::GiveUp(failure.reply.clone()),
        Class::RenderFailed => Verdict::Hold(Holding::unhurried(failure.reply.clone())),
        Class::Throttled => Verdict::Retry(1_000, None),
        Class::Greylisted => Verdict::Retry(300_000, None),
        _ if attempts >= 3 => Verdict::GiveUp(failure.reply.clone()),
        _ => Verdict::Retry(30_000 * 4_u64.pow(attempts.saturating_sub(1)), None),
    }
}

fn held(holding: &Holding) -> Transition {
    Transition::End { state: State::Held, reason: bounded(&holding.reason) }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Sending;
    use super::{Admission, Caps, Class, Failure, Holding, State, Transition, Verdict};
    use super::{admit, is_overdue, native_verdict, settle};

    const HOUR_MS: i64 = 3_600_000;

    fn caps() -> Caps {
        Caps {
            attempts_max: 25,
            age_max_ms: 72 * HOUR_MS,
            retry_min_ms: 1_000,
            retry_max_ms: 86_400_000,
            wait_min_ms: 1_000,
            wait_max_ms: 604_800_000,
            jitter_percent: 20,
        }
    }

    fn why() -> String {
        "because".to_owned()
    }

    fn holding() -> Holding {
        Holding { reason: why(), urgent: true }
    }

    fn end(state: State) -> Transition {
        Transition::End { state, reason: why() }
    }

    fn state(transition: &Transition) -> Option<State> {
        match transition {
            Transition::End { state, .. } => Some(*state),
            Transition::Later { .. } | Transition::GiveBack | Transition::Merge => None,
        }
    }

    fn delay_ms(transition: &Transition) -> Option<i64> {
        match transition {
            Transition::Later { delay_ms, .. } => Some(*delay_ms),
            Transition::End { .. } | Transition::GiveBack | Transition::Merge => None,
        }
    }

    #[test]
    fn every_admission() {
        let caps = caps();
        assert_eq!(admit(&Admission::Send(Sending::default()), &caps, 0), None);
        let by_relay = Sending { relay: Some("relay".to_owned()), ..Sending::default() };
        assert_eq!(admit(&Admission::Send(by_relay), &caps, i64::MAX), None);
        assert_eq!(admit(&Admission::Merge, &caps, 0), Some(Transition::Merge));
        assert_eq!(admit(&Admission::Skip(why()), &caps, 0), Some(end(State::Skipped)));
        assert_eq!(admit(&Admission::Hold(holding()), &caps, 0), Some(end(State::Held)));
        for (asked, given) in
            [(0, 1_000), (1_000, 1_000), (5_000, 5_000), (604_800_000, 604_800_000), (u64::MAX, 604_800_000)]
        {
            let transition = admit(&Admission::Wait(asked), &caps, 0);
            assert_eq!(transition, Some(Transition::Later { delay_ms: given, relay: None }), "{asked}");
        }
        // 72 hours and 7 days: nobody waits for ever.
        let last = 240 * HOUR_MS;
        assert!(delay_ms(&admit(&Admission::Wait(1), &caps, last - 1).unwrap()).is_some());
        assert_eq!(state(&admit(&Admission::Wait(1), &caps, last).unwrap()), Some(State::Failed));
    }

    #[test]
    fn every_verdict() {
        let caps = caps();
        for attempts in [0, 1, 24, 25, 26, u32::MAX] {
            for age_ms in [0, 72 * HOUR_MS - 1, 72 * HOUR_MS, i64::MAX] {
                for dice in [0, 1, u64::MAX] {
                    let settled = |verdict: Verdict| settle(&verdict, &caps, attempts, age_ms, caps.retry_min_ms, dice);
                    assert_eq!(settled(Verdict::GiveUp(why())), end(State::Failed));
                    assert_eq!(settled(Verdict::Hold(holding())), end(State::Held));
                    let retry = settled(Verdict::Retry(60_000, Some("relay".to_owned())));
                    if attempts >= 25 || age_ms >= 72 * HOUR_MS {
                        assert_eq!(state(&retry), Some(State::Failed));
                    } else {
                        let Transition::Later { delay_ms, relay } = retry else { panic!("{retry:?}") };
                        assert!((48_000..=72_000).contains(&delay_ms), "{delay_ms}");
                        assert_eq!(relay.as_deref(), Some("relay"));
                    }
                }
            }
        }
    }

    #[test]
    fn age_counts_from_the_first_failure() {
        let caps = caps();
        let (wait, age) = (240 * HOUR_MS, 72 * HOUR_MS);
        assert!(!is_overdue(&caps, 0, None, wait - 1));
        assert!(is_overdue(&caps, 0, None, wait));
        // Six days of allowed waiting leave the whole of the cap for retries.
        let first = 144 * HOUR_MS;
        assert!(!is_overdue(&caps, 0, Some(first), first + age - 1));
        assert!(is_overdue(&caps, 0, Some(first), first + age));
    }

    #[test]
    fn retries_are_clamped_and_jittered() {
        let caps = caps();
        let retry = |ms, dice| delay_ms(&settle(&Verdict::Retry(ms, None), &caps, 1, 0, 1_000, dice)).unwrap();
        assert_eq!((retry(0, 0), retry(0, 400)), (1_000, 1_200));
        assert_eq!((retry(10_000, 0), retry(10_000, 2_000), retry(10_000, 4_000)), (8_000, 10_000, 12_000));
        assert_eq!(retry(u64::MAX, u64::MAX / 2), retry(86_400_000, u64::MAX / 2));
        assert!(retry(u64::MAX, 34_560_000) <= 86_400_000);
        let still = Caps { jitter_percent: 0, ..caps };
        let exact = settle(&Verdict::Retry(7_000, None), &still, 1, 0, 1_000, 99);
        assert_eq!(delay_ms(&exact), Some(7_000));
    }

    #[test]
    fn the_native_rule_for_every_class() {
        let failure = |class| Failure {
            at: 0,
            class,
            phase: "rcpt".to_owned(),
            code: None,
            enhanced: None,
            reply: why(),
            relay: String::new(),
        };
        for class in [Class::Deferred, Class::NotHandedOver, Class::InDoubt] {
            assert_eq!(native_verdict(&failure(class), 1), Verdict::Retry(30_000, None));
            assert_eq!(native_verdict(&failure(class), 2), Verdict::Retry(120_000, None));
            assert_eq!(native_verdict(&failure(class), 3), Verdict::GiveUp(why()));
        }
        assert_eq!(native_verdict(&failure(Class::Rejected), 1), Verdict::GiveUp(why()));
        assert_eq!(native_verdict(&failure(Class::RenderFailed), 0), Verdict::Hold(Holding::unhurried(why())));
    }
}
