//! What a long row takes: the plan of a micro-step as the device would run it, without a device.

use crate::fuse::{Pairs, fuse};
use crate::gemm;
use crate::gpu::Precision;
use crate::lower::lower;
use wootz_models::nanochat::{self, Dial};
use wootz_program::{Node, Plan, Program, Recompute, occupancy, plan};

fn micro(seq: usize, policy: Recompute) -> Program {
    let dial = Dial {
        depth: 20,
        vocab_size: 32768,
        sequence_len: seq,
        window_pattern: "L".to_owned(),
    };
    let model = nanochat::from_depth(&dial).expect("a model");
    let program = nanochat::training(&model, 1, policy).expect("a program");
    let mut program = lower(vec![program], Precision::default()).expect("lowered").remove(0);
    fuse(&mut program, Pairs { attention: true });
    program
}

/// Scratch memory of the nodes that need much.
fn scratch_bytes(program: &Program, node: &Node) -> usize {
    let ty = |i: usize| &program.info(node.inputs[i]).ty;
    match node.op.name() {
        "linear_cross_entropy_backward" => (512 << 20) + gemm::WORKSPACE_BYTES,
        // Sums of the queries' gradients in binary32, and two numbers a row and head.
        "attention_rope_backward" => 2 * ty(0).bytes() + 2 * ty(3).bytes(),
        name if name.starts_with("linear") => gemm::WORKSPACE_BYTES,
        _ => 0,
    }
}

fn planned(program: &Program) -> Plan {
    plan(program, &scratch_bytes)
}

#[test]
fn listing() {
    for policy in [Recompute::None, Recompute::Cheap, Recompute::Ranked(20), Recompute::Ranked(40), Recompute::Ranked(60), Recompute::Ranked(80), Recompute::Ranked(90), Recompute::Ranked(100), Recompute::Ranked(200), Recompute::Block] {
        let program = micro(65536, policy);
        let plan = planned(&program);
        let o = occupancy(&program, &plan);
        let names: Vec<&str> = program.nodes.iter().map(|n| n.op.name()).collect();
        let count = |x: &str| names.iter().filter(|n| **n == x).count();
        println!("{policy:?} arena {:.3} GiB, live {:.3} at {} {} of {}; attention {} linear {} lrs {} relu {}", o.arena_bytes as f64/(1<<30) as f64, o.live_bytes as f64/(1<<30) as f64, o.node, o.op, program.nodes.len(), count("attention"), count("linear"), count("linear_relu_squared"), count("relu_squared"));
        for h in o.held.iter().filter(|h| h.bytes > 10<<20) { println!("    {:>9.1} MiB {:>3} {}", h.bytes as f64/(1<<20) as f64, h.count, h.what); }
    }
}
