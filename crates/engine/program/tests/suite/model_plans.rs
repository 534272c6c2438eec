//! Plans of the model's programs at random small sizes.

use proptest::prelude::*;
use wootz_cpu::CpuBackend;
use wootz_models::nanochat;
use wootz_program::{Backend, Planned, Program, Recompute, Scope, Value, occupancy, plan};
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
    let ranked = [1, config.n_layer, 4 * config.n_layer].map(Recompute::Ranked);
    programs.extend(ranked.map(|policy| nanochat::training(config, batch, policy).unwrap()));
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

fn four_blocks(sequence_len: usize) -> ModelConfig {
    ModelConfig {
        sequence_len,
        vocab_size: 64,
        n_layer: 4,
        n_head: 2,
        n_kv_head: 1,
        n_embd: 64,
        window_pattern: "L".to_owned(),
        window_short: None,
    }
}

/// Node by node, from nothing to whole blocks: the peak falls, what is cheap goes first, and attention over long rows last.
#[test]
fn ranks_lead_from_nothing_to_whole_blocks() {
    let config = ModelConfig { n_head: 10, n_kv_head: 10, n_embd: 1280, ..four_blocks(1 << 16) };
    let of = |policy| nanochat::training(&config, 1, policy).unwrap();
    let arena = |policy| plan(&of(policy), &|_, _| 0).arena_bytes;
    let count = |policy, name: &str| of(policy).nodes.iter().filter(|node| node.op.name() == name).count();
    assert!(of(Recompute::Ranked(0)).to_string() == of(Recompute::None).to_string());
    let counts = 0..of(Recompute::None).nodes.len();
    let (mut least, mut products, mut attentions) = (usize::MAX, Vec::new(), Vec::new());
    for n in counts {
        let policy = Recompute::Ranked(n);
        // In the backward pass of the last block, what runs again lives beside what is still kept of the others.
        assert!(
            arena(policy) <= least.saturating_add(least / 5),
            "{n} nodes: {} after {least}",
            arena(policy)
        );
        least = least.min(arena(policy));
        products.push(count(policy, "linear"));
        attentions.push(count(policy, "attention"));
    }
    assert!(least <= arena(Recompute::Block));
    assert_eq!(arena(Recompute::Ranked(usize::MAX)), arena(Recompute::Block));
    assert!(products.is_sorted() && attentions.is_sorted());
    let norms_before = |n: usize| count(Recompute::Ranked(n), "residual_mix");
    let first_product = products.iter().position(|n| *n > products[0]).unwrap();
    assert_eq!(
        norms_before(first_product),
        6,
        "those of the two blocks whose input is kept for something else"
    );
    let first_attention = attentions.iter().position(|n| *n > 4).unwrap();
    // But for two that win no more than the factors of a norm.
    assert_eq!(products[first_attention] + 2, products[products.len() - 1], "{products:?} {attentions:?}");
}

/// What is said to lie in the arena at its peak adds up.
#[test]
fn what_holds_the_peak_adds_up() {
    let config = four_blocks(64);
    for policy in [Recompute::None, Recompute::Ranked(9), Recompute::Block] {
        let program = nanochat::training(&config, 2, policy).unwrap();
        let plan = plan(&program, &|_, node| if node.op.name() == "linear" { 1 << 12 } else { 0 });
        let peak = occupancy(&program, &plan);
        assert_eq!(peak.held.iter().map(|held| held.bytes).sum::<usize>(), peak.live_bytes);
        assert!(peak.live_bytes <= peak.arena_bytes && peak.arena_bytes == plan.arena_bytes);
        let tight = memory::check(&program, &plan).unwrap();
        assert!(
            peak.live_bytes as f64 * tight.ratio() * 1.02 >= peak.arena_bytes as f64,
            "{peak:?} {tight:?}"
        );
        let kept =
            |what: &str| peak.held.iter().find(|held| held.what.starts_with(what)).map(|held| held.count);
        let blocks = ["relu_squared", "residual_mix", "linear mlp.c_proj"].map(kept);
        // Whole blocks keep nothing of the last one, whose output the head's norm has taken over, at its own backward pass.
        assert!(blocks.iter().max() >= Some(&Some(2)), "{peak:?}");
    }
}

/// Of each block the backward pass reads what it cannot do without, and nothing twice: queries, keys and values are rotated and
/// gated where they are, the feed-forward block keeps its activations after the squared ReLU only.
#[test]
fn a_block_keeps_only_what_its_backward_pass_reads() {
    let config = four_blocks(16);
    let batch = 2;
    for (policy, names) in [
        (
            Recompute::None,
            vec!["residual_mix", "residual_mix", "gate_strength", "rms_norm", "rms_norm", "relu_squared"],
        ),
        (Recompute::Cheap, vec!["residual_mix", "residual_mix", "gate_strength", "rms_norm", "rms_norm"]),
        (Recompute::Block, vec![]),
    ] {
        let program = nanochat::training(&config, batch, policy).unwrap();
        // The block of layer 1, which has a value embedding; its last output is the next block's input.
        let scope = Scope(2);
        let head = program.nodes.iter().position(|n| n.op.name() == "linear_cross_entropy_backward").unwrap();
        let (forward, backward) = program.nodes.split_at(head);
        let read = |v: &Value| backward.iter().any(|node| node.inputs.contains(v));
        let made = forward.iter().filter(|node| node.scope == scope);
        let kept: Vec<(&str, Value)> =
            made.flat_map(|n| n.outputs.iter().map(|v| (n.op.name(), *v))).filter(|(_, v)| read(v)).collect();
        let mut expected = match policy {
            // What crosses into the next block; the others read only what that makes of it.
            Recompute::Block => vec!["linear"],
            _ => vec!["qk_norm_rope", "qk_norm_rope", "attention", "attention"],
        };
        expected.extend(names);
        expected.sort_unstable();
        let mut actual: Vec<&str> = kept.iter().map(|(name, _)| *name).collect();
        actual.sort_unstable();
        assert_eq!(actual, expected, "{policy:?}");
        let bytes: usize = kept.iter().map(|(_, v)| program.info(*v).ty.bytes()).sum();
        let (c, w, h, k) = (64, 128, 2, 1);
        let floats = match policy {
            // normed, qkv, y, the norm of x after attention, the inner activations; and the statistics.
            Recompute::None => c + w + c + c + 4 * c + (h + k) + h + k + 2,
            Recompute::Cheap => c + w + c + c + (h + k) + h + k + 2,
            _ => c,
        };
        assert_eq!(bytes, 4 * floats * batch * config.sequence_len, "{policy:?}");
    }
}
