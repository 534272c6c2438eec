//! Which steps of a program wait for which where some of them run beside the others, on a second queue.
//!
//! A program is a sequence of steps, and its memory is laid out as if they ran one after the other. Two queues each keep that
//! order; between them a step waits for the last one of the other queue before it that it must not run beside: one that
//! writes what it reads, reads what it writes, or writes what it writes. Waiting for a step is waiting for all before it on
//! its queue, so one wait is enough, and none is needed for what an earlier step of the same queue has waited for (vector
//! clocks of two processes: Fidge, "Timestamps in message-passing systems that preserve the partial ordering", 1988).
//!
//! Everything here is arithmetic on addresses. Not covered: more than two queues; steps whose work goes on after them, as that of
//! collectives on a queue of their own, which the steps behind those do not touch.

use crate::driver::Pointer;
use crate::launch::{Operand, Scratch};
use std::ops::Range;

/// The queue of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// That of the steps that others wait for.
    Chain,
    /// That of the steps that may end later.
    Beside,
}

/// What of a step decides what it may run beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its queue.
    pub lane: Lane,
    /// Memory that it reads.
    pub reads: Vec<Range<Pointer>>,
    /// Memory that it writes, or reads and writes.
    pub writes: Vec<Range<Pointer>>,
    /// Whether nothing may run beside it.
    pub alone: bool,
}

impl Step {
    /// The step of a node: it reads its inputs, but for those that it updates, and writes these, its outputs and its scratch
    /// memory.
    pub(crate) fn of(
        lane: Lane,
        inputs: &[Operand],
        updates: &[usize],
        outputs: &[Operand],
        scratch: Scratch,
    ) -> Step {
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for (i, input) in inputs.iter().enumerate() {
            let list = if updates.contains(&i) { &mut writes } else { &mut reads };
            list.push(input.pointer..input.pointer + input.bytes() as Pointer);
        }
        writes
            .extend(outputs.iter().map(|output| output.pointer..output.pointer + output.bytes() as Pointer));
        writes.push(scratch.pointer..scratch.pointer + scratch.bytes as Pointer);
        Step { lane, reads, writes, alone: false }
    }

    /// Whether the two must run in their order.
    fn ordered(&self, other: &Step) -> bool {
        let meet = |some: &[Range<Pointer>], others: &[Range<Pointer>]| {
            some.iter().any(|one| others.iter().any(|other| overlap(one, other)))
        };
        self.alone
            || other.alone
            || meet(&self.writes, &other.writes)
            || meet(&self.writes, &other.reads)
            || meet(&self.reads, &other.writes)
    }
}

fn overlap(one: &Range<Pointer>, other: &Range<Pointer>) -> bool {
    one.start.max(other.start) < one.end.min(other.end)
}

/// For each step, the step of the other queue that must be over before it begins; none: it is over anyway, or there is none.
pub(crate) fn waits(steps: &[Step]) -> Vec<Option<usize>> {
    // By queue: steps before this one that are over, of those of the other queue.
    let mut over = [0; 2];
    let wait = |(at, step): (usize, &Step)| {
        let over = &mut over[step.lane as usize];
        let found = (*over..at).rev().find(|i| steps[*i].lane != step.lane && steps[*i].ordered(step));
        *over = found.map_or(*over, |i| i + 1);
        found
    };
    steps.iter().enumerate().map(wait).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_tensor::{DType, Shape};
    use wootz_testkit::Random;

    const CELLS: usize = 24;

    fn step(lane: Lane, reads: &[Range<Pointer>], writes: &[Range<Pointer>]) -> Step {
        Step { lane, reads: reads.to_vec(), writes: writes.to_vec(), alone: false }
    }

    fn random_program(random: &mut Random) -> Vec<Step> {
        let ranges = |random: &mut Random, most: usize| {
            let range = |random: &mut Random| {
                let start = random.below(CELLS) as Pointer;
                start..(start + random.below(4) as Pointer).min(CELLS as Pointer)
            };
            (0..random.below(most + 1)).map(|_| range(random)).collect::<Vec<_>>()
        };
        let one = |random: &mut Random| {
            let beside = random.below(3) == 0;
            Step {
                lane: if beside { Lane::Beside } else { Lane::Chain },
                reads: ranges(random, 3),
                writes: ranges(random, 2),
                alone: !beside && random.below(20) == 0,
            }
        };
        (0..40).map(|_| one(random)).collect()
    }

    /// A device with two queues and a memory of numbers. What a step writes is noise while it runs, and at its end depends on
    /// what it read at both ends, so that whatever runs beside it and touches that shows.
    struct Device<'a> {
        steps: &'a [Step],
        waits: &'a [Option<usize>],
        memory: Vec<u64>,
        over: Vec<bool>,
        /// By queue, the step that runs and what it has read so far.
        running: [Option<(usize, u64)>; 2],
    }

    fn mix(one: u64, other: u64) -> u64 {
        (one ^ other.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
    }

    impl Device<'_> {
        fn cells(ranges: &[Range<Pointer>]) -> Vec<usize> {
            ranges
                .iter()
                .flat_map(|range| range.start as usize..(range.end as usize).max(range.start as usize))
                .collect()
        }
        fn read(&self, ranges: &[Range<Pointer>], sum: u64) -> u64 {
            Self::cells(ranges).into_iter().fold(sum, |sum, cell| mix(sum, self.memory[cell]))
        }
        fn write(&mut self, step: usize, sum: u64) {
            for cell in Self::cells(&self.steps[step].writes) {
                self.memory[cell] = mix(sum, cell as u64);
            }
        }
        fn next(&self, lane: Lane) -> Option<usize> {
            (0..self.steps.len()).find(|i| !self.over[*i] && self.steps[*i].lane == lane)
        }
        /// Begins or ends a step of a queue; false: it waits or has no more.
        fn advance(&mut self, lane: Lane) -> bool {
            let steps = self.steps;
            if let Some((step, sum)) = self.running[lane as usize].take() {
                self.write(step, self.read(&steps[step].reads, sum));
                self.over[step] = true;
                return true;
            }
            let Some(step) = self.next(lane) else { return false };
            if self.waits[step].is_some_and(|other| !self.over[other]) {
                return false;
            }
            let other = self.running[1 - lane as usize];
            assert!(
                other.is_none_or(|(other, _)| !steps[other].alone && !steps[step].alone),
                "beside {step}"
            );
            let sum = self.read(&steps[step].writes, self.read(&steps[step].reads, step as u64));
            self.write(step, !sum);
            self.running[lane as usize] = Some((step, sum));
            true
        }
    }

    /// Memory after a run in which the queues take turns by chance, or, without chance, one step runs after the other.
    fn run(steps: &[Step], waits: &[Option<usize>], mut chance: Option<&mut Random>) -> Vec<u64> {
        let memory = (0..CELLS as u64).collect();
        let mut device = Device { steps, waits, memory, over: vec![false; steps.len()], running: [None; 2] };
        while let Some(first) = device.over.iter().position(|over| !over) {
            let lane = match &mut chance {
                None => steps[first].lane,
                Some(random) => [Lane::Chain, Lane::Beside][random.below(2)],
            };
            let other = [Lane::Beside, Lane::Chain][lane as usize];
            assert!(device.advance(lane) || device.advance(other), "both queues wait at {first}");
        }
        device.memory
    }

    #[test]
    fn any_order_that_the_waits_allow_gives_the_same_memory() {
        let mut random = Random::of(1, "lanes");
        let (mut wrong, mut waited) = (0, 0);
        for program in 0..400 {
            let mut steps = random_program(&mut random);
            let waits = waits(&steps);
            let expected = run(&steps, &waits, None);
            for _ in 0..6 {
                assert_eq!(run(&steps, &waits, Some(&mut random)), expected, "program {program}");
            }
            waited += waits.iter().flatten().count();
            // Without the waits the same runs show what is wrong.
            steps.iter_mut().for_each(|step| step.alone = false);
            let none = vec![None; steps.len()];
            wrong += usize::from(run(&steps, &none, Some(&mut random)) != expected);
        }
        assert!(wrong > 390, "{wrong} of 400 programs go wrong without waits");
        assert!(waited < 400 * 25, "{waited}: not every step waits");
    }

    /// Each wait alone decides something: without it some order that is left gives another memory, or something runs beside
    /// what must be alone.
    #[test]
    fn no_wait_is_for_what_is_over() {
        let mut random = Random::of(2, "lanes");
        for _ in 0..200 {
            let steps = random_program(&mut random);
            let waits = waits(&steps);
            for (at, wait) in waits.iter().enumerate() {
                let Some(wait) = wait else { continue };
                assert!(
                    *wait < at && steps[*wait].lane != steps[at].lane && steps[*wait].ordered(&steps[at])
                );
                let before = waits[..at].iter().zip(&steps).filter(|(_, step)| step.lane == steps[at].lane);
                assert!(before.filter_map(|(wait, _)| *wait).all(|earlier| earlier < *wait));
            }
        }
    }

    #[test]
    fn a_weight_gradient_runs_beside_until_its_operands_are_written() {
        // dy, x, dw, dx.
        let places = [0..10, 10..20, 20..30, 30..40];
        let of = |which: &[usize]| which.iter().map(|i| places[*i].clone()).collect::<Vec<_>>();
        let chain = |reads: &[usize], writes: &[usize]| step(Lane::Chain, &of(reads), &of(writes));
        let beside = |reads: &[usize], writes: &[usize]| step(Lane::Beside, &of(reads), &of(writes));
        let steps = [
            chain(&[], &[0]),
            beside(&[0, 1], &[2]),
            chain(&[0], &[3]),
            chain(&[3], &[1]),
            chain(&[1], &[0]),
            chain(&[2], &[]),
            beside(&[], &[2]),
        ];
        assert_eq!(waits(&steps), [None, Some(0), None, Some(1), None, None, Some(5)]);
    }

    #[test]
    fn ranges_that_only_touch_do_not_meet() {
        assert!(overlap(&(0..10), &(9..20)) && overlap(&(0..10), &(3..4)));
        assert!(!overlap(&(0..10), &(10..20)));
        assert!(!overlap(&(0..10), &(5..5)), "nothing lies in an empty one");
    }

    #[test]
    fn a_step_writes_what_it_updates_its_outputs_and_its_scratch() {
        let operand =
            |pointer, read| Operand { pointer, shape: Shape::from([4, 2]), dtype: DType::BF16, read };
        let inputs = [operand(0, true), operand(100, true), operand(200, true)];
        let scratch = Scratch { pointer: 1000, bytes: 64 };
        let step = Step::of(Lane::Chain, &inputs, &[2], &[operand(300, false)], scratch);
        assert_eq!(step.reads, [0..16, 100..116]);
        assert_eq!(step.writes, [200..216, 300..316, 1000..1064]);
    }
}
