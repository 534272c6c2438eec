//! Collectives among ranks that are threads.

use std::collections::BTreeMap;
use wootz_cpu::{CpuBackend, Mode};
use wootz_mesh::World;
use wootz_ops::{AllGather, AllReduce, BroadcastFromOwner, ReduceToOwner, Timing};
use wootz_program::{Backend, Builder, Planned, Program, Type, Value, plan};
use wootz_tensor::HostTensor;

const RANKS: usize = 3;
const OWNERS: [usize; 4] = [1, 0, 1, 2];

/// A program over states `x0`, `x1`, … of these lengths and a scalar.
fn program(lengths: &[usize], write: impl Fn(&mut Builder, &[Value], Value)) -> Program {
    let mut b = Builder::new();
    let states = lengths.iter().enumerate();
    let states: Vec<Value> = states.map(|(i, n)| b.state(&format!("x{i}"), Type::f32([*n]))).collect();
    let scalar = b.state("scalar", Type::scalar());
    write(&mut b, &states, scalar);
    b.finish()
}

/// What element `j` of state `i` is on a rank at first.
fn at_first(rank: usize, i: usize, j: usize) -> f32 {
    (100 * rank + 10 * i + j) as f32 + 0.5
}

/// The values after one run, by rank.
fn run(
    mode: Mode,
    lengths: &[usize],
    write: impl Fn(usize) -> Program + Sync,
    read: &[&str],
) -> Vec<BTreeMap<String, Vec<f64>>> {
    let (write, read) = (&write, &read);
    std::thread::scope(|scope| {
        let rank = |world: World| {
            scope.spawn(move || {
                let program = write(world.rank);
                let plan = plan(&program, &|_, _| 0);
                let rank = world.rank;
                let backend = match mode {
                    Mode::Fast => CpuBackend::fast(1),
                    _ => CpuBackend::reference(mode),
                };
                let mut session = backend.in_world(world).load(vec![Planned { program, plan }]).unwrap();
                for (i, length) in lengths.iter().enumerate() {
                    let values = (0..*length).map(|j| at_first(rank, i, j)).collect();
                    session.write(&format!("x{i}"), &HostTensor::f32([*length], values).unwrap()).unwrap();
                }
                session.write("scalar", &HostTensor::scalar(rank as f32 + 0.25)).unwrap();
                session.run(0).unwrap();
                let value = |name: &&str| {
                    let tensor = session.read(name).unwrap();
                    let values: Vec<f64> = match tensor.as_f32() {
                        Ok(values) => values.iter().map(|x| f64::from(*x)).collect(),
                        Err(_) => tensor.as_f64().unwrap().to_vec(),
                    };
                    ((*name).to_owned(), values)
                };
                read.iter().map(value).collect()
            })
        };
        let threads: Vec<_> = World::threads(RANKS).into_iter().map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

const NAMES: [&str; 4] = ["x0", "x1", "x2", "x3"];
const LENGTHS: [usize; 4] = [3, 1, 5, 2];

fn check(expected: impl Fn(usize, usize, usize) -> f64, found: &[BTreeMap<String, Vec<f64>>]) {
    for (rank, values) in found.iter().enumerate() {
        for (i, name) in NAMES.iter().enumerate() {
            let expected: Vec<f64> = (0..LENGTHS[i]).map(|j| expected(rank, i, j)).collect();
            assert_eq!(values[*name], expected, "{name} on rank {rank}");
        }
    }
}

#[test]
fn gradients_are_summed_onto_their_owners_and_are_zero_elsewhere() {
    for mode in [Mode::Fast, Mode::Reference64] {
        let write = |rank| {
            program(&LENGTHS, |b, states, _| {
                b.apply(ReduceToOwner { rank, owners: OWNERS.to_vec(), timing: Timing::InPlace }, states)
                    .unwrap();
            })
        };
        let sum = |i, j| (0..RANKS).map(|rank| f64::from(at_first(rank, i, j))).sum();
        let expected = |rank, i, j| if OWNERS[i] == rank { sum(i, j) } else { 0.0 };
        check(expected, &run(mode, &LENGTHS, write, &NAMES));
    }
}

#[test]
fn parameters_are_everywhere_what_they_are_on_their_owner() {
    let write = |rank| {
        program(&LENGTHS, |b, states, _| {
            b.apply(BroadcastFromOwner { rank, owners: OWNERS.to_vec() }, states).unwrap();
        })
    };
    let expected = |_, i: usize, j| f64::from(at_first(OWNERS[i], i, j));
    check(expected, &run(Mode::Fast, &LENGTHS, write, &NAMES));
}

#[test]
fn figures_of_all_ranks_are_gathered_and_summed() {
    let write = |_| {
        program(&[4], |b, states, scalar| {
            let all = b.apply_one(AllGather { ranks: RANKS }, &[scalar]).unwrap();
            b.output(all, "all");
            let sum = b.apply_one(AllReduce, states).unwrap();
            b.output(sum, "sum");
        })
    };
    for values in run(Mode::Fast, &[4], write, &["all", "sum"]) {
        assert_eq!(values["all"], [0.25, 1.25, 2.25]);
        assert_eq!(values["sum"], [301.5, 304.5, 307.5, 310.5]);
    }
}
