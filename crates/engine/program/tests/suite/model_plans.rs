//! Plans of the model's programs at random small sizes.

use proptest::prelude::*;
use wootz_cpu::CpuBackend;
use wootz_models::nanochat;
use wootz_program::{Backend, Planned, Program, Recompute, plan};
use wootz_schema::model::ModelConfig;
use wootz_testkit::memory;

fn configs() -> impl Strategy<Value = ModelConfig> {
    let heads = prop_oneof![Just((1, 1)), Just((2, 1)), Just((2, 2)), Just((4, 2)), Just((6, 3))];
    let pattern = prop_oneof![Just("L"), Just("SL"), Just("SSSL")];
    (1usize..6, heads, 12usize..20, 1usize..150, 2usize..300, pattern, 0usize..90).prop_map(
        |(n_layer, (n_head, n_kv_head), half, sequence_len, vocab_size, pattern, window)| ModelConfig {
            sequence_len,
            vocab_size,
            n_layer,
            n_head,
            n_kv_head,
            n_embd: n_head * 2 * half,
            window_pattern: pattern.to_owned(),
            window_short: Some(window),
        },
    )
}

fn programs(config: &ModelConfig, batch: usize) -> Vec<Program> {
    let policies = [Recompute::None, Recompute::Cheap, Recompute::Block];
    let mut programs: Vec<Program> =
        policies.iter().map(|policy| nanochat::training(config, batch, *policy).unwrap()).collect();
    programs.push(nanochat::evaluation(config, batch).unwrap());
    programs.push(nanochat::full_logits(config, batch).unwrap());
    programs.push(nanochat::decode(config, batch, config.sequence_len).unwrap());
    programs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_are_sound_and_tight(config in configs(), batch in 1usize..4, threads in 1usize..4) {
        let backend = CpuBackend::fast(threads);
        for program in programs(&config, batch) {
            let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
            let peak = memory::check(&program, &plan).map_err(TestCaseError::fail)?;
            prop_assert!(peak.ratio() < 1.25, "{peak:?}");
        }
    }
}

/// What is planned is what is held, and recomputing pays. Ratios are printed for the notes.
#[test]
fn sessions_hold_what_was_planned() {
    let config = ModelConfig {
        sequence_len: 256,
        vocab_size: 4096,
        n_layer: 4,
        n_head: 2,
        n_kv_head: 2,
        n_embd: 256,
        window_pattern: "SSSL".to_owned(),
        window_short: None,
    };
    let backend = CpuBackend::fast(2);
    let mut arenas = Vec::new();
    for program in programs(&config, 4) {
        let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
        let peak = memory::check(&program, &plan).unwrap();
        println!("{peak:?} ratio {:.4}", peak.ratio());
        assert!(peak.ratio() < 1.05, "{peak:?}");
        let session = backend.load(vec![Planned { program, plan: plan.clone() }]).unwrap();
        assert_eq!(session.memory().arena_bytes, plan.arena_bytes);
        arenas.push(plan.arena_bytes);
    }
    let (none, cheap, block) = (arenas[0], arenas[1], arenas[2]);
    assert!(block < cheap && cheap < none, "{arenas:?}");
}
