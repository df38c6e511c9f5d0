//! The queue's promise as a model: what two hosts, a relay and a queue may do, checked in all orders to a stated depth, and in
//! 10,000 seeded ones beyond it. `conforms` holds the store's verbs to the model's on each database.

mod conforms;
mod table;
mod world;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::harness::tests;
use table::{ALL, Rules};
use world::{Bounds, World};

tests! {
    without_runtime {
        the_promise_holds_in_all_orders
        the_promise_holds_in_ten_thousand_seeded_orders
        no_rule_can_be_left_out
    }
    on_each_database {
        the_store_does_what_the_model_does
    }
}

use conforms::the_store_does_what_the_model_does;

/// Steps of the longest order that is looked at in all its variants.
const DEPTH: usize = 18;
const SEEDS: u64 = 10_000;
/// Steps of a seeded order.
const STEPS: usize = 80;

fn the_promise_holds_in_all_orders() {
    let bounds = Bounds { rules: ALL, lanes: 1, places: 2, faults: 2, time: 4 };
    let checked = bounds.checker().threads(2).target_max_depth(DEPTH).spawn_bfs().join();
    let found: Vec<_> = checked.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    assert!(found.iter().all(|(name, _)| name.starts_with("all is sent")), "{found:#?}");
    assert_eq!(found.len(), 1, "nothing arrived again: the model allows too little");
    assert!(checked.unique_state_count() > 100_000, "{} states", checked.unique_state_count());
}

/// The next number (`SplitMix64`: Steele, Lea and Flood, 2014).
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) >> 1).unwrap()
}

/// For so many steps at the most a host is stopped, while the others go on.
const STOPPED_STEPS_MAX: usize = 30;

/// Walks at random, and says which promise is broken, if one is, and how.
fn walk(bounds: &Bounds, seed: u64) -> Option<String> {
    let promises: Vec<_> = bounds.properties().into_iter().filter(|p| !p.name.starts_with("all is sent")).collect();
    let (mut world, mut state, mut steps) = (World::default(), seed, Vec::new());
    world.clone_from(&bounds.init_states()[0]);
    let (mut stopped, mut until) = (None, 0);
    for at in 0..STEPS {
        let mut possible = Vec::new();
        bounds.actions(&world, &mut possible);
        if at >= until {
            stopped = [None, None, Some(0), Some(1)][random(&mut state) % 4];
            until = at + 1 + random(&mut state) % STOPPED_STEPS_MAX;
        }
        possible.retain(|step| stopped.is_none() || step.host() != stopped);
        if possible.is_empty() {
            break;
        }
        let step = possible.swap_remove(random(&mut state) % possible.len());
        steps.push(step.clone());
        world = bounds.next_state(&world, step).unwrap_or(world);
        if let Some(broken) = promises.iter().find(|promise| !(promise.condition)(bounds, &world)) {
            return Some(format!("seed {seed}: not so: {}: {steps:?}", broken.name));
        }
    }
    None
}

fn the_promise_holds_in_ten_thousand_seeded_orders() {
    let bounds = Bounds { rules: ALL, lanes: 3, places: 3, faults: 6, time: 40 };
    for seed in 1..=SEEDS {
        assert_eq!(walk(&bounds, seed), None);
    }
}

/// Each shows in a few steps what it is for: with which of the promises, and how many faults it takes.
fn no_rule_can_be_left_out() {
    let mutants = [
        ("fence", Rules { fence: false, ..ALL }, 0),
        ("lease guard", Rules { lease_guard: false, ..ALL }, 0),
        ("lanes", Rules { lanes: false, ..ALL }, 0),
        ("intents", Rules { intents: false, ..ALL }, 1),
    ];
    for (name, rules, faults) in mutants {
        let bounds = Bounds { rules, lanes: 1, places: 2, faults, time: 4 };
        let checker = bounds.checker().target_max_depth(DEPTH + 2).finish_when(HasDiscoveries::AnyFailures);
        let found = checker.spawn_bfs().join().discoveries().into_iter();
        let broken = found.filter(|(promise, _)| !promise.starts_with("all is sent"));
        let broken = broken.map(|(promise, path)| (promise, path.into_actions())).min_by_key(|(_, path)| path.len());
        let (promise, path) = broken.unwrap_or_else(|| panic!("without {name} everything holds"));
        assert!(path.len() < DEPTH, "without {name}, {promise} does not hold: {path:?}");
        let seeds = Bounds { rules, lanes: 3, places: 3, faults: 6, time: 40 };
        assert!((1..=SEEDS).any(|seed| walk(&seeds, seed).is_some()), "without {name} no seed shows it");
    }
}
