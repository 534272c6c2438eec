//! The descriptor calls of a graph, beside those of NVIDIA's own builder.

use sha2::{Digest, Sha256};
use wootz_cuda::cudnn::SdpaShape;
use wootz_cuda::cudnn::graph::Record;
use wootz_cuda::cudnn::sdpa::{Operand, SdpaGraph, backward, forward};

fn calls(graph: &SdpaGraph) -> String {
    let mut record = Record::default();
    graph.graph.describe(&mut record).unwrap();
    record.text
}

/// The first 16 digits of the digest, and how many descriptors and attributes the calls make.
fn digest(graph: &SdpaGraph) -> String {
    let text = calls(graph);
    let digest: String =
        Sha256::digest(text.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let count = |word: &str| text.lines().filter(|line| line.trim_start().starts_with(word)).count();
    format!("{digest} {} {}", count("create"), count("set"))
}

/// The shapes whose calls were recorded, B=4 each. Their window is cuDNN's 128: 128 keys, our window of 127.
fn recorded() -> [SdpaShape; 4] {
    let gqa = SdpaShape::separate(4, 2048, 32, 8, 128);
    let window = SdpaShape::separate(4, 4096, 64, 8, 64).with_window(Some(127));
    [
        SdpaShape::separate(4, 2048, 10, 10, 128),
        gqa,
        SdpaShape { sink: true, ..window },
        SdpaShape { ragged: true, ..gqa },
    ]
}

#[test]
fn the_calls_are_those_of_nvidias_builder() {
    // Digests of what was recorded with cudnn-frontend 1.32 and cuDNN 9.19; in the backward graph with a sink, Kᵀ, Q and
    // Vᵀ were renumbered before (see the head of sdpa.rs).
    let expected = [
        ["bc0628afcbfc7280 48 212", "4cbb80c24af5b34f 73 317"],
        ["cb028b20e77cdad6 48 212", "90287764eba757f8 79 341"],
        ["4f9c7c7e899d325f 78 355", "9de4049e2d4156df 109 481"],
        ["b7068a03d26c717b 71 331", "15e0f5c83fa79c39 102 471"],
    ];
    for (shape, expected) in recorded().iter().zip(expected) {
        assert_eq!([digest(&forward(shape)), digest(&backward(shape))], expected, "{shape}");
    }
}

#[test]
fn a_window_that_shows_everything_is_none() {
    let shape = SdpaShape::packed(2, 64, 4, 2, 64);
    let calls_of = |window| calls(&forward(&shape.with_window(window)));
    assert_eq!(calls_of(Some(63)), calls_of(None));
    assert_ne!(calls_of(Some(62)), calls_of(None));
}

#[test]
fn packed_operands_are_views_of_one_row() {
    let shape = SdpaShape::packed(2, 64, 4, 2, 64);
    assert_eq!(shape.packed_columns(), [0, 256, 384]);
    let text = calls(&forward(&shape));
    // Queries, keys (transposed), and the output.
    for line in ["2 4 64 64", "2 2 64 64", "32768 64 512 1", "32768 64 1 512", "16384 64 256 1"] {
        assert!(text.lines().any(|have| have.ends_with(&format!(": {line}"))), "{line}");
    }
}

#[test]
fn only_the_fast_backward_pass_sums_in_memory() {
    let sums =
        |shape: &SdpaShape| backward(shape).operands.iter().any(|(operand, _)| *operand == Operand::DQSum);
    let shape = SdpaShape::packed(2, 64, 4, 2, 64);
    assert!(sums(&shape));
    assert!(!sums(&SdpaShape { deterministic: true, ..shape }));
}

#[test]
fn shapes_that_would_be_computed_wrongly_are_refused() {
    let refused = |shape: SdpaShape| shape.check().unwrap_err().to_string();
    assert!(SdpaShape::packed(2, 100, 4, 2, 64).check().is_ok());
    for (shape, reason) in [
        (SdpaShape::packed(2, 64, 4, 3, 64), "must divide"),
        (SdpaShape::packed(2, 64, 4, 2, 60), "multiple of 8"),
        (SdpaShape::packed(2, 0, 4, 2, 64), "positive"),
        (SdpaShape { ragged: true, ..SdpaShape::packed(2, 64, 4, 2, 64) }, "share their offsets"),
    ] {
        assert!(refused(shape).contains(reason), "{}", refused(shape));
    }
}
