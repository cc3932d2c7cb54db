//! View changes: at every checkpoint, while someone catches up, after one member was cut off, in calm runs.

use crate::world::{World, id, small};
use quorate_simulator::draw::Draw;
use quorate_simulator::run_seed;
use quorate_types::{Message, ReplicaId};
use std::time::Duration;

/// The highest checkpoint that is stable anywhere.
fn stable(world: &World) -> u64 {
    world.present().iter().map(|status| status.stable.get()).max().unwrap_or(0)
}

/// The lowest view in which everyone present is active; zero if someone is not.
fn active_view(world: &World) -> u64 {
    let view = |status: &quorate_pbft::ReplicaStatus| if status.active { status.view.get() } else { 0 };
    world.present().iter().map(view).min().unwrap_or(0)
}

/// At each checkpoint the primary goes: it restarts and abdicates, or it is cut off until the others have left its view.
fn depose_at_every_checkpoint(n: u16, changes: u64) {
    let mut world = World::new(n, small(), u64::from(n));
    let (mut view, mut last) = (0, 0);
    while view < changes {
        while stable(&world) <= last {
            world.load(6);
            world.step();
        }
        last = stable(&world);
        let primary = world.primary();
        if view % 5 == 4 {
            world.cut.insert(primary);
        } else {
            world.restart(primary);
        }
        world.load(6);
        world.until("the next view", Duration::from_secs(30), |world| active_view(world) > view);
        view = active_view(&world);
        world.cut.clear();
    }
    world
        .until("all is answered", Duration::from_secs(30), |world| world.unanswered() == 0 && world.agreed());
    assert!(world.status(0).executed.get() >= changes, "two slots and a checkpoint to a view");
    let wanted = world.answered;
    assert!(wanted >= changes, "{wanted} answered in {view} views");
}

#[test]
fn v2_to_v9_a_view_change_at_every_checkpoint_a_thousand_times() {
    // More than a thousand in a release build; a debug build takes minutes for that.
    depose_at_every_checkpoint(4, if cfg!(debug_assertions) { 200 } else { 1_050 });
}

#[test]
fn v2_to_v9_a_view_change_at_every_checkpoint_with_seven_members() {
    depose_at_every_checkpoint(7, 60);
}

const SEEDS: u64 = 6;

/// The laggard is behind by several windows when the others have left the view, and f members are dead: no NEW-VIEW and no
/// commit without its VIEW-CHANGE and its votes. Messages arrive in any order.
fn catch_up_during_a_view_change(n: u16) {
    let dead: Vec<ReplicaId> = (0..(n - 1) / 3).map(id).collect();
    let laggard = n - 1;
    let mut together = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(n, small(), seed);
        world.cut.insert(id(laggard));
        while stable(&world) < 14 {
            world.load(4);
            world.step();
        }
        world.load(4);
        for member in &dead {
            world.cluster.crash(*member);
            world.lost.insert(*member);
        }
        world.until("the others leave the view", Duration::from_secs(10), |world| {
            world.present().iter().all(|status| !status.active)
        });
        assert_eq!(world.status(laggard).executed.get(), 0);
        let height = world.cluster.checkers.height();
        world.shuffled = true;
        world.cut.clear();
        let mut both = false;
        for _ in 0..2_000 {
            let status = world.status(laggard);
            both |= !status.active && status.executed.get() < height;
            if both || world.agreed() {
                break;
            }
            world.cluster.look();
            match world.take() {
                Some(message) => world.cluster.deliver(&message),
                None => world.cluster.run_for(Duration::from_millis(1)),
            }
        }
        together += u64::from(both);
        world.until("answers", Duration::from_secs(20), |world| world.unanswered() == 0 && world.agreed());
        assert!(world.cluster.checkers.height() > height, "new blocks need the laggard's votes");
        // Its vote counts at once: everyone who is left is needed for the next block too.
        world.load(1);
        world.until("one more", Duration::from_secs(2), |world| world.unanswered() == 0);
    }
    println!("n={n}: in {together} of {SEEDS} runs the laggard was behind in a view change of its own");
    assert!(together > SEEDS / 3, "n={n}: {together} of {SEEDS}");
}

#[test]
fn t1_v2_catching_up_during_a_view_change_with_four_members() {
    catch_up_during_a_view_change(4);
}

#[test]
fn t1_v2_catching_up_during_a_view_change_with_seven_members() {
    catch_up_during_a_view_change(7);
}

/// Each member in turn is alone for three seconds. At most the view in which it was primary ends.
#[test]
fn v10_one_member_cut_off_and_back_disturbs_nobody() {
    for n in [4, 7] {
        let mut world = World::new(n, small(), 1);
        for alone in ReplicaId::all(n) {
            let (view, was_primary) = (active_view(&world), world.primary() == alone);
            world.cut.insert(alone);
            for _ in 0..300 {
                world.load(4);
                world.step();
            }
            world.cut.clear();
            world.until("it is back", Duration::from_secs(3), |world| {
                world.unanswered() == 0 && world.agreed()
            });
            world.run(Duration::from_secs(3));
            assert_eq!(active_view(&world), view + u64::from(was_primary), "n={n}, {alone} was cut off");
        }
    }
}

/// For twenty seconds no NEW-VIEW arrives: views and timeouts grow. Then q members, or all, restart at once, and nobody asks
/// for anything. V6 bounds the time until they are in one view.
#[test]
fn v6_after_failed_views_restarted_members_meet_again() {
    for (n, all) in [(4, false), (4, true), (7, false), (7, true)] {
        for seed in 0..3 {
            let mut world = World::new(n, small(), seed);
            world.load(3);
            world.cut.insert(id(0));
            for step in 0..2_000 {
                if step == 600 {
                    world.cut.clear();
                }
                world.load(3);
                world.step_with(&mut |in_flight| !matches!(in_flight.message(), Message::NewView(_)));
            }
            let views: Vec<u64> = world.present().iter().map(|status| status.view.get()).collect();
            assert!(views.iter().all(|view| *view >= 3), "{views:?}");
            world.no_new_traffic();
            let strong = u16::try_from(world.cluster.members().quorums().strong()).unwrap();
            let restarted = if all { n } else { strong };
            ((n - restarted)..n).for_each(|member| world.restart(id(member)));
            let rounds = u64::from(n - strong) + 2;
            let bound = Duration::from_millis(rounds * small().view_timeout_max_ms + 2_000);
            world.until("they meet", bound, World::agreed);
            world.ask_everyone_again();
            world.until("answers", bound, |world| world.unanswered() == 0);
        }
    }
}

/// V11: seeds that draw no fault.
#[test]
fn v11_calm_seeds_change_no_view() {
    let calm: Vec<u64> = (0..).filter(|seed| Draw::of(*seed).calm).take(12).collect();
    for seed in calm {
        let report = run_seed(seed).unwrap_or_else(|failure| panic!("seed {seed}: {:?}", failure.violation));
        assert_eq!(report.view_changes, 0, "seed {seed}");
        assert!(report.height > 0, "seed {seed}");
    }
}
