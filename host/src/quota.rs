//! How hosts part what a relay takes from all of them: connections, mails in a second. Pure.
//!
//! A host writes down what it may use before it uses it, and gives up only what it no longer does; what all have written
//! down together is never more than there is.

/// A host that has mails for a relay counts as so many that have none.
const WANTING: i64 = 4;

/// What a host asks for of one relay, and what it uses.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The relay's name.
    pub relay: String,
    /// What the relay takes from all hosts: connections, and mails in any second (0: any number).
    pub caps: Caps,
    /// What this host allows itself now, or still uses.
    pub used: Caps,
    /// Whether it has mails for the relay.
    pub wants: bool,
    /// How many mails the relay takes in a day; none: any number.
    pub per_day_max: Option<u32>,
    /// How many mails of the day this host has left.
    pub day_left: i64,
    /// How many more it would like to be given; negative: it gives so many back.
    pub day_wanted: i64,
}

impl Ask {
    /// What a host that stops asks for: nothing, and its mails of the day go back.
    #[must_use]
    pub fn of_the_last(self) -> Self {
        Self { wants: false, day_wanted: -self.day_left.max(0), ..self }
    }
}

/// What a host may use of one relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// At one time.
    pub connections: u32,
    /// In any second.
    pub per_second: u32,
}

/// What a host is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// To be used from now on.
    pub caps: Caps,
    /// More mails of the day, or those that it gave back.
    pub day_given: i64,
}

/// What one host has written down for a relay.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which host.
    pub host: String,
    /// What it may use, or still does.
    pub caps: Caps,
    /// Whether it has mails for the relay.
    pub wants: bool,
}

/// What a host may use from now on, and what it has to write down: that, or what it still uses.
pub fn part(ask: &Ask, host: &str, entries: &[Entry]) -> (Caps, Caps) {
    let others = || entries.iter().filter(|entry| entry.host != host);
    let mine = entries.iter().find(|entry| entry.host == host).map(|entry| entry.caps).unwrap_or_default();
    let weight = |wants: bool| if wants { WANTING } else { 1 };
    let own = weight(ask.wants);
    let all = others().map(|entry| weight(entry.wants)).sum::<i64>() + own;
    let before = others().filter(|entry| entry.host.as_str() < host).map(|entry| weight(entry.wants)).sum::<i64>();
    let of = |f: fn(&Caps) -> u32| {
        let (cap, used, mine) = (i64::from(f(&ask.caps)), i64::from(f(&ask.used)), i64::from(f(&mine)));
        let theirs = others().map(|entry| i64::from(f(&entry.caps))).sum::<i64>();
        // Borders between the hosts in their order: together the parts are the whole.
        let target = cap * (before + own) / all - cap * before / all;
        let now = if target <= mine { target } else { target.min((cap - theirs).max(mine)) };
        let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        (number(now), number(now.max(used.min(mine))))
    };
    let (connections, per_second) = (of(|caps| caps.connections), of(|caps| caps.per_second));
    let caps = |connections, per_second| Caps { connections, per_second };
    (caps(connections.0, per_second.0), caps(connections.1, per_second.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps((connections, per_second): (u32, u32)) -> Caps {
        Caps { connections, per_second }
    }

    fn ask(most: (u32, u32), used: (u32, u32), wants: bool) -> Ask {
        Ask {
            relay: "r".to_owned(),
            caps: caps(most),
            used: caps(used),
            wants,
            per_day_max: None,
            day_left: 0,
            day_wanted: 0,
        }
    }

    fn entry(host: &str, connections: u32, wants: bool) -> Entry {
        Entry { host: host.to_owned(), caps: caps((connections, 0)), wants }
    }

    /// Hosts that come, go, want and use what they have: together never more than there is, and soon all of it.
    #[test]
    fn parts_are_never_more_than_the_whole() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut entries: Vec<Entry> = Vec::new();
        for round in 0..5_000 {
            let (host, is_late) = (format!("host {}", next(4)), round > 4_000);
            let wants = is_late || next(2) == 0;
            // What it has written down, or nothing of it any more.
            let had = entries.iter().find(|entry| entry.host == host).map(|entry| entry.caps).unwrap_or_default();
            let used = if round > 4_900 || next(2) == 0 { Caps::default() } else { had };
            let ask = Ask { used, ..ask((16, 14), (0, 0), wants) };
            let (now, written) = part(&ask, &host, &entries);
            assert!(now.connections <= written.connections && now.per_second <= written.per_second);
            entries.retain(|entry| entry.host != host && (is_late || next(50) > 0));
            entries.push(Entry { host, caps: written, wants });
            assert!(entries.iter().map(|entry| entry.caps.connections).sum::<u32>() <= 16, "round {round}");
            assert!(entries.iter().map(|entry| entry.caps.per_second).sum::<u32>() <= 14, "round {round}");
        }
        assert!(entries.iter().all(|entry| entry.caps.connections == 4), "{entries:?}");
        assert_eq!(entries.iter().map(|entry| entry.caps.per_second).sum::<u32>(), 14, "{entries:?}");
    }

    #[test]
    fn who_has_mails_gets_most() {
        let of = |ask: &Ask, host: &str, entries: &[Entry]| part(ask, host, entries).0.connections;
        assert_eq!(of(&ask((15, 0), (0, 0), true), "b", &[entry("a", 3, false)]), 12);
        // What the other has not given up yet is not given.
        assert_eq!(of(&ask((15, 0), (0, 0), true), "b", &[entry("a", 10, false)]), 5);
        assert_eq!(of(&ask((15, 0), (0, 0), true), "alone", &[]), 15);
        // More is used than is due to it: that stays written down until it is not.
        let (now, written) = part(&ask((16, 0), (16, 0), true), "a", &[entry("a", 16, true), entry("b", 0, true)]);
        assert_eq!((now.connections, written.connections), (8, 16));
        let (now, written) = part(&ask((16, 0), (8, 0), true), "a", &[entry("a", 16, true), entry("b", 0, true)]);
        assert_eq!((now.connections, written.connections), (8, 8));
    }
}
