//! A made-up world: machines are taken away, runs crash, looks fail, launches fail and happen all the same, files are half uploaded, and the
//! babysitter is killed between any two calls. Whatever comes, no run is started beside another, on a guess, from half a checkpoint, or
//! after the end.

#![allow(clippy::unwrap_used, reason = "a world that cannot be made has failed")]

use crate::PROFILE;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tempfile::tempdir;
use wootz_babysit::{Action, Profile, Provider, Sight, Sitter, Trouble, read};
use wootz_schema::babysit::Phase;

/// What happens before, or to, a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Calm,
    /// The call fails, and nothing is done.
    Fails,
    /// The call is done, and says that it failed.
    FailsLate,
    /// The babysitter is killed behind the call.
    KilledLate,
    /// The babysitter is killed before the call.
    KilledEarly,
    Preempted,
    Crashes,
    Finishes,
    /// A checkpoint is written, whole or not.
    Saves {
        whole: bool,
    },
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Calm),
        2 => Just(Fate::Fails),
        2 => Just(Fate::FailsLate),
        2 => Just(Fate::KilledLate),
        2 => Just(Fate::KilledEarly),
        2 => Just(Fate::Preempted),
        2 => Just(Fate::Crashes),
        1 => Just(Fate::Finishes),
        3 => any::<bool>().prop_map(|whole| Fate::Saves { whole }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Vm {
    Gone,
    Ready,
    Preempted,
}

#[derive(Debug)]
struct World {
    vm: Vm,
    lives: bool,
    exit: Option<i32>,
    step: u64,
    saved: Vec<(u64, bool)>,
    is_finished: bool,
    saw: Option<Sight>,
    launches: Vec<Option<u64>>,
    fates: Vec<Fate>,
}

struct Killed;

impl World {
    fn new(mut fates: Vec<Fate>) -> World {
        fates.reverse();
        let (saved, launches) = (Vec::new(), Vec::new());
        World {
            vm: Vm::Gone,
            lives: false,
            exit: None,
            step: 0,
            saved,
            is_finished: false,
            saw: None,
            launches,
            fates,
        }
    }

    fn newest(&self) -> Option<u64> {
        self.saved.iter().filter(|(_, whole)| *whole).map(|(step, _)| *step).max()
    }

    fn call<T>(&mut self, does: impl FnOnce(&mut World) -> T) -> Result<T, Trouble> {
        let fate = self.fates.pop().unwrap_or(Fate::Calm);
        match fate {
            Fate::Preempted if self.vm == Vm::Ready => {
                (self.vm, self.lives, self.exit) = (Vm::Preempted, false, None);
            }
            Fate::Crashes if self.lives => (self.lives, self.exit) = (false, Some(1)),
            Fate::Finishes if self.lives => {
                (self.lives, self.exit, self.is_finished) = (false, Some(0), true)
            }
            Fate::Saves { whole } if self.lives => {
                self.step += 100;
                self.saved.push((self.step, whole));
            }
            Fate::KilledEarly => resume_unwind(Box::new(Killed)),
            Fate::Fails => return Err(Trouble("no".to_owned())),
            _ => {}
        }
        let done = does(self);
        match fate {
            Fate::KilledLate => resume_unwind(Box::new(Killed)),
            Fate::FailsLate => Err(Trouble("late".to_owned())),
            _ => Ok(done),
        }
    }
}

impl Provider for World {
    fn look(&mut self) -> Sight {
        let saw = self.call(|world| match (world.vm, world.lives, world.exit) {
            (Vm::Gone, ..) => Sight::NoMachine,
            (Vm::Preempted, ..) => Sight::Preempted,
            (Vm::Ready, true, _) => Sight::Running,
            (Vm::Ready, false, None) => Sight::Idle,
            (Vm::Ready, false, Some(0)) => Sight::Finished,
            (Vm::Ready, false, Some(rc)) => Sight::Crashed(rc),
        });
        let saw = saw.unwrap_or_else(|trouble| Sight::Unknown(trouble.0));
        self.saw = Some(saw.clone());
        saw
    }

    fn checkpoints(&mut self) -> Result<Vec<String>, Trouble> {
        self.call(|world| {
            let names = world.saved.iter().flat_map(|(step, whole)| {
                let model = format!("gs://b/model_{step:06}.pt");
                let rest = [
                    format!("gs://b/meta_{step:06}.json"),
                    format!("gs://b/optim_{step:06}_rank0.pt"),
                    format!("gs://b/optim_{step:06}_rank1.pt"),
                ];
                std::iter::once(model).chain(rest.into_iter().take(if *whole { 3 } else { 2 }))
            });
            names.collect()
        })
    }

    fn create(&mut self) -> Result<(), Trouble> {
        assert_eq!(self.vm, Vm::Gone, "a machine is created beside another");
        self.call(|world| world.vm = Vm::Ready)
    }

    fn remove(&mut self) -> Result<(), Trouble> {
        assert!(!self.lives, "a machine is removed under a run");
        self.call(|world| world.vm = Vm::Gone)
    }

    fn launch(&mut self, from: Option<u64>) -> Result<(), Trouble> {
        assert!(!self.lives, "a run is started beside another");
        assert!(
            matches!(self.saw, Some(Sight::Idle | Sight::Crashed(_))),
            "a run is started on {:?}",
            self.saw
        );
        assert!(!self.is_finished, "a finished run is started again");
        assert_eq!(from, self.newest(), "not from the newest whole checkpoint");
        self.launches.push(from);
        self.call(|world| {
            // The machine may have been taken away since the look.
            if world.vm == Vm::Ready {
                (world.lives, world.exit, world.step) = (true, None, from.unwrap_or(0));
            }
        })
    }
}

/// Rounds of babysitters, each taking up what a killed one left.
fn live(world: &mut World, profile: &Profile, rounds: usize) -> Phase {
    let folder = tempdir().unwrap();
    let mut phase = Phase::Look;
    for _ in 0..rounds {
        let round = AssertUnwindSafe(|| {
            let mut sitter = Sitter::open(folder.path(), profile).unwrap();
            let (_, action) = sitter.round(world).unwrap();
            (sitter.watch.phase, action)
        });
        match catch_unwind(round) {
            Ok((now, action)) => {
                phase = now;
                if action == Action::End {
                    assert!(matches!(phase, Phase::Finished | Phase::GaveUp));
                }
            }
            Err(panic) if panic.is::<Killed>() => {}
            Err(panic) => resume_unwind(panic),
        }
    }
    phase
}

fn profile(failures_most: u32) -> Profile {
    Profile { failures_most, ..read("p.yaml", PROFILE).unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_no_run_is_started_wrongly(fates in prop::collection::vec(fate(), 0..80)) {
        // What must never be is asserted by the world itself.
        let rounds = fates.len() + 6;
        let mut world = World::new(fates);
        let phase = live(&mut world, &profile(1000), rounds);
        // When nothing happens any more the run runs, or is finished.
        prop_assert_eq!(world.is_finished, phase == Phase::Finished);
        prop_assert!(world.is_finished || world.lives, "{:?}", world);
        prop_assert!(!world.launches.is_empty());
    }
}

#[test]
fn a_run_that_was_cut_off_goes_on_from_its_newest_whole_checkpoint() {
    let calm = [Fate::Calm; 5];
    let story = [
        // Look, create; look, ask, launch.
        &calm[..],
        &[Fate::Saves { whole: true }, Fate::Saves { whole: false }, Fate::Preempted],
    ]
    .concat();
    let mut world = World::new(story);
    assert_eq!(live(&mut world, &profile(5), 20), Phase::Watching);
    assert_eq!(world.launches, [None, Some(100)]);
}

#[test]
fn a_run_that_only_crashes_is_left_alone_and_one_that_gets_further_is_not() {
    let launch = [Fate::Calm; 3];
    let once = |between: &[Fate]| [&launch[..], between, &[Fate::Crashes]].concat();
    // The look that sees the crash is the first of the next launch.
    let story =
        |between: &[Fate]| [&[Fate::Calm; 2][..], &launch, &once(between)[3..], &[Fate::Calm; 2]].concat();
    let again = |between: &[Fate]| [between, &[Fate::Crashes, Fate::Calm, Fate::Calm]].concat();
    let mut only = World::new([story(&[]), again(&[]).repeat(20)].concat());
    assert_eq!(live(&mut only, &profile(5), 60), Phase::GaveUp);
    assert_eq!(only.launches.len(), 5);
    let saves = [Fate::Saves { whole: true }];
    let mut further = World::new([story(&saves), again(&saves).repeat(20)].concat());
    assert_eq!(live(&mut further, &profile(5), 60), Phase::Watching);
    assert_eq!(further.launches.len(), 22);
}

#[test]
fn looks_that_fail_start_nothing_and_end_in_giving_up() {
    let mut world =
        World::new([&[Fate::Calm; 5][..], &[Fate::Fails; 4], &[Fate::Calm], &[Fate::Fails; 9]].concat());
    assert_eq!(live(&mut world, &profile(5), 30), Phase::GaveUp);
    assert_eq!(world.launches, [None]);
}

#[test]
fn the_last_checkpoint_is_the_end_although_the_machine_has_forgotten() {
    let mut profile = profile(5);
    profile.training.last_step = Some(200);
    let saves = [Fate::Saves { whole: true }; 2];
    let mut world = World::new([&[Fate::Calm; 5][..], &saves, &[Fate::Preempted]].concat());
    assert_eq!(live(&mut world, &profile, 20), Phase::Finished);
    assert_eq!(world.launches, [None]);
}

#[test]
fn one_babysitter_of_a_profile_sits() {
    let folder = tempdir().unwrap();
    let first = Sitter::open(folder.path(), &profile(5)).unwrap();
    assert!(Sitter::open(folder.path(), &profile(5)).is_err());
    drop(first);
    assert!(Sitter::open(folder.path(), &profile(5)).is_ok());
}
