//! A long row within a budget: the programs of a run as the device would load them, planned without one.

use crate::fuse::{Pairs, fuse};
use crate::gemm;
use crate::gpu::Precision;
use crate::lower::lower;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use wootz_models::nanochat::{self, Dial};
use wootz_program::{
    Backend, BackendError, Node, Occupancy, Planned, Program, Recompute, Role, Session, occupancy,
};
use wootz_train::{LearningRates, Sizes, Trainer};

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
            // The logits of a chunk.
            name if name.starts_with("linear_cross_entropy") => (512 << 20) + gemm::WORKSPACE_BYTES,
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
    peak: Occupancy,
}

impl Plans {
    fn of(precision: Precision, recompute: Recompute, budget_bytes: Option<u64>) -> Plans {
        let dial = Dial { depth: 20, vocab_size: 32768, sequence_len: 65536, window_pattern: "L".to_owned() };
        let model = nanochat::from_depth(&dial).expect("a model");
        let planner = Planner { precision, ..Planner::default() };
        let sizes = Sizes { model, batch: 1, slices: Some(1), recompute, budget_bytes };
        let error = Trainer::new(&planner, &sizes, &LearningRates::default()).err().expect("nothing loads");
        let programs = planner.loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(!programs.is_empty(), "{error}");
        let values = programs.iter().flat_map(|planned| planned.program.iter_values());
        let persistent = values.filter(|(_, info)| info.role != Role::Activation);
        let persistent: BTreeMap<_, _> = persistent.map(|(_, i)| (i.name.clone(), i.ty.bytes())).collect();
        let peak = occupancy(&programs[0].program, &programs[0].plan);
        Plans { persistent_bytes: persistent.values().sum(), peak, programs }
    }
    fn count(&self, op: &str) -> usize {
        self.programs[0].program.nodes.iter().filter(|node| node.op.name() == op).count()
    }
    fn gib(&self) -> f64 {
        (self.persistent_bytes + self.peak.arena_bytes) as f64 / f64::from(1 << 30)
    }
}

#[test]
fn a_budget_recomputes_products_and_no_attention() {
    let asked = Plans::of(Precision::default(), Recompute::Cheap, None);
    assert!(asked.gib() > 41.0, "{}", asked.gib());
    let within = Plans::of(Precision::default(), Recompute::Cheap, Some((36 << 30) + (1 << 29)));
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
