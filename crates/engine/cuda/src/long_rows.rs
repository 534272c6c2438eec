//! The programs of a run as the device would load them, planned without one: what the benchmark's shapes take, and a long row within
//! a budget.

use crate::fuse::{Pairs, fuse};
use crate::gemm;
use crate::gpu::Precision;
use crate::lower::lower;
use crate::ops::linear_cross_entropy;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use wootz_models::nanochat::{self, Dial};
use wootz_program::{
    Backend, BackendError, Node, Occupancy, Planned, Program, Recompute, Role, Session, occupancy,
};
use wootz_train::{LearningRates, Sizes, Trainer};

/// Pairs of multiprocessors.
const H200_PAIRS: usize = 66;

/// Lowers like the device, and notes what it is to load.
#[derive(Default)]
struct Planner {
    precision: Precision,
    loaded: Mutex<Vec<Planned>>,
}

impl Backend for Planner {
    fn describe(&self) -> String {
        "planner".to_owned()
    }
    fn lower(&self, programs: Vec<Program>) -> Result<Vec<Program>, BackendError> {
        let mut programs = lower(programs, self.precision)?;
        programs.iter_mut().for_each(|program| fuse(program, Pairs { attention: true }));
        Ok(programs)
    }
    /// Of the ops that need much.
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize {
        let bytes = |i: usize| program.info(node.inputs[i]).ty.bytes();
        match node.op.name() {
            name if name.starts_with("linear_cross_entropy") => {
                let tokens = program.info(node.inputs[2]).ty.shape.len();
                let [rows, channels] = [0, 1].map(|i| program.info(node.inputs[1]).ty.shape.dims()[i]);
                linear_cross_entropy::scratch_bytes(tokens, rows, channels, H200_PAIRS)
            }
            // Gradients of the queries in binary32, and two numbers a row of a head.
            "attention_rope_backward" => 2 * bytes(0) + 2 * bytes(3),
            name if name.starts_with("linear") || name == "muon" => gemm::WORKSPACE_BYTES,
            _ => 0,
        }
    }
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError> {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = programs;
        Err(BackendError::UnknownValue { name: "none is loaded".to_owned() })
    }
}

struct Plans {
    programs: Vec<Planned>,
    persistent_bytes: usize,
    arena_bytes: usize,
    peak: Occupancy,
}

impl Plans {
    fn of(precision: Precision, recompute: Recompute, budget_bytes: Option<u64>) -> Plans {
        Plans::sized(precision, [20, 1, 65536], 1, recompute, budget_bytes)
    }
    /// Of a depth, rows and their tokens, in this many slices.
    fn sized(
        precision: Precision,
        [depth, batch, sequence_len]: [usize; 3],
        slices: usize,
        recompute: Recompute,
        budget_bytes: Option<u64>,
    ) -> Plans {
        let window_pattern = if batch == 1 { "L" } else { "SSSL" }.to_owned();
        let dial = Dial { depth, vocab_size: 32768, sequence_len, window_pattern };
        let model = nanochat::from_depth(&dial).expect("a model");
        let planner = Planner { precision, ..Planner::default() };
        let sizes = Sizes { model, batch, slices: Some(slices), recompute, budget_bytes };
        let error = Trainer::new(&planner, &sizes, &LearningRates::default()).err().expect("nothing loads");
        let programs = planner.loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(!programs.is_empty(), "{error}");
        let values = programs.iter().flat_map(|planned| planned.program.iter_values());
        let persistent = values.filter(|(_, info)| info.role != Role::Activation);
        let persistent: BTreeSet<_> =
            persistent.map(|(_, i)| (i.name.clone(), i.ty.to_string(), i.ty.bytes())).collect();
        let names: BTreeSet<_> = persistent.iter().map(|(name, ..)| name.clone()).collect();
        assert_eq!(names.len(), persistent.len(), "programs agree on the types of what they share");
        let persistent_bytes = persistent.iter().map(|(.., bytes)| bytes).sum();
        let peak = occupancy(&programs[0].program, &programs[0].plan);
        let arena_bytes = programs.iter().map(|planned| planned.plan.arena_bytes).max().unwrap_or(0);
        Plans { persistent_bytes, arena_bytes, peak, programs }
    }
    fn count(&self, op: &str) -> usize {
        self.programs[0].program.nodes.iter().filter(|node| node.op.name() == op).count()
    }
    fn gib(&self) -> f64 {
        (self.persistent_bytes + self.arena_bytes) as f64 / f64::from(1 << 30)
    }
}

#[test]
fn a_budget_recomputes_products_and_no_attention() {
    let asked = Plans::of(Precision::default(), Recompute::None, None);
    assert!(asked.gib() > 40.5, "{}", asked.gib());
    let within = Plans::of(Precision::default(), Recompute::None, Some((36 << 30) + (1 << 29)));
    assert!(within.gib() <= 36.5 && within.gib() > 36.0, "{}", within.gib());
    for op in ["attention", "attention_rope_backward"] {
        assert_eq!(within.count(op), 20, "{op}: once a block");
    }
    assert_eq!(asked.count("linear_relu_squared"), 20);
    let products = within.count("linear") + within.count("linear_relu_squared");
    assert!(
        products > 60 + 20 && products < 60 + 20 + 30,
        "{products}: three and one a block, and some again"
    );
    assert_eq!(within.peak.op, "linear_cross_entropy_backward");
    assert!(within.peak.arena_bytes - within.peak.live_bytes < 1 << 20, "no gaps");
}

/// What runs again is fused like what ran first.
#[test]
fn activations_that_are_computed_again_are_fused_too() {
    let within = Plans::of(Precision::default(), Recompute::None, Some(24 << 30));
    let again = within.count("linear_relu_squared");
    assert!(again > 30, "{again}");
    assert_eq!((within.count("relu_squared"), within.count("attention")), (0, 20));
    let eighths = Plans::of(Precision { fp8: true, ..Precision::default() }, Recompute::None, Some(24 << 30));
    assert_eq!(eighths.count("attention"), 20);
}

/// Less is better: whoever keeps less sets a bound lower. `cargo xtask bench gpu` compares with PyTorch at these shapes.
#[test]
fn shapes_of_the_benchmark_stay_within_their_memory() {
    let check = |shape: [usize; 3], slices: usize, most: f64| {
        let plans = Plans::sized(Precision::default(), shape, slices, Recompute::None, None);
        let gib = plans.gib();
        assert!(gib <= most && gib > most - 0.05, "{shape:?} in {slices}: {gib} GiB\n{:#?}", plans.peak);
        assert!(plans.peak.arena_bytes - plans.peak.live_bytes < 1 << 20, "no gaps");
    };
    check([20, 8, 1024], 1, 13.05);
    check([12, 32, 2048], 1, 14.84);
    check([20, 32, 2048], 2, 25.04);
}
