//! The sampler through its public interface.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

use proptest::prelude::*;
use wootz_infer::sampler::{SampleError, Sampler};
use wootz_schema::eval::Sampling;
use wootz_schema::{Diagnose, ExitCode};

fn sampling(temperature: f32, top_k: Option<usize>, seed: u64) -> Sampling {
    Sampling { max_new_tokens: 1, temperature, top_k, seed }
}

fn draws(sampling: &Sampling, sequence: u64, logits: &[f32], n: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling, sequence).unwrap();
    (0..n).map(|_| sampler.next(logits).unwrap()).collect()
}

/// Pearson's χ² of the draws against the softmax of the allowed tokens.
fn check_frequencies(sampling: Sampling, logits: &[f32], allowed: &[usize], bound: f64) {
    const DRAWS: usize = 20_000;
    let weights: Vec<f64> =
        allowed.iter().map(|&t| (f64::from(logits[t]) / f64::from(sampling.temperature)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let drawn = draws(&sampling, 0, logits, DRAWS);
    let mut chi_square = 0.0;
    let mut counted = 0;
    for (&token, weight) in allowed.iter().zip(&weights) {
        let count = drawn.iter().filter(|&&t| t as usize == token).count();
        let expected = DRAWS as f64 * weight / total;
        chi_square += (count as f64 - expected).powi(2) / expected;
        counted += count;
    }
    assert_eq!(counted, DRAWS, "every draw is an allowed token");
    assert!(chi_square < bound, "χ² {chi_square} with {} degrees of freedom", allowed.len() - 1);
}

/// Bounds are the 99.9% quantiles of χ² with 4, 7 and 2 degrees of freedom.
#[test]
fn frequencies_match_the_softmax() {
    check_frequencies(sampling(1.0, None, 1), &[0.0, 1.0, 2.0, -1.0, 0.5], &[0, 1, 2, 3, 4], 18.47);
    let logits = [0.3, -0.2, 0.1, 0.0, 1.2, 0.9, -1.5, 0.4];
    check_frequencies(sampling(0.7, None, 2), &logits, &[0, 1, 2, 3, 4, 5, 6, 7], 24.32);
    check_frequencies(sampling(1.5, Some(3), 3), &logits, &[4, 5, 7], 13.82);
    // Ruled-out tokens are never drawn, and neither is one whose weight rounds to nothing.
    let ruled_out = [f32::NEG_INFINITY, 0.0, 1.0, f32::NEG_INFINITY, 0.5, -3e38];
    check_frequencies(sampling(1.0, None, 4), &ruled_out, &[1, 2, 4], 13.82);
}

#[test]
fn equal_logits_are_ordered_by_id() {
    assert_eq!(draws(&Sampling::greedy(1), 0, &[1.0, 3.0, 3.0, 2.0], 1), [1]);
    let drawn = draws(&sampling(1.0, Some(2), 0), 0, &[0.0; 100], 200);
    assert!(drawn.iter().all(|&token| token < 2) && drawn.contains(&0) && drawn.contains(&1));
}

#[test]
fn the_seed_and_the_sequence_fix_the_draws() {
    let logits = [0.0; 1000];
    let first = draws(&sampling(1.0, None, 9), 0, &logits, 20);
    assert_eq!(first, draws(&sampling(1.0, None, 9), 0, &logits, 20));
    assert_ne!(first, draws(&sampling(1.0, None, 9), 1, &logits, 20));
    assert_ne!(first, draws(&sampling(1.0, None, 10), 0, &logits, 20));
    assert_ne!(
        draws(&sampling(1.0, None, 0), 1, &logits, 20),
        draws(&sampling(1.0, None, 1), 0, &logits, 20)
    );
}

#[test]
fn what_cannot_be_sampled_is_an_error() {
    for temperature in [-1.0, f32::NAN, f32::INFINITY] {
        let error = Sampler::new(&sampling(temperature, None, 0), 0).unwrap_err();
        assert_eq!(error.exit(), ExitCode::Usage);
    }
    assert_eq!(Sampler::new(&sampling(1.0, Some(0), 0), 0).unwrap_err(), SampleError::TopK);
    let mut sampler = Sampler::new(&Sampling::greedy(1), 0).unwrap();
    assert!(matches!(sampler.next(&[0.0, f32::NAN]), Err(SampleError::NotFinite { token: 1, .. })));
    assert!(matches!(sampler.next(&[f32::INFINITY]), Err(SampleError::NotFinite { token: 0, .. })));
    assert_eq!(sampler.next(&[f32::NEG_INFINITY; 2]), Err(SampleError::NoToken { vocab_size: 2 }));
    assert_eq!(sampler.next(&[]), Err(SampleError::NoToken { vocab_size: 0 }));
}

proptest! {
    #[test]
    fn draws_come_from_the_top_k(
        logits in prop::collection::vec(-50f32..50.0, 1..80),
        top_k in 1usize..90,
        temperature in prop_oneof![Just(0f32), 1e-30f32..100.0],
        seed in any::<u64>(),
    ) {
        let mut sorted: Vec<usize> = (0..logits.len()).collect();
        sorted.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let greedy = sorted[0] as u32;
        let allowed = &sorted[..top_k.min(sorted.len())];
        for token in draws(&sampling(temperature, Some(top_k), seed), 0, &logits, 10) {
            prop_assert!(allowed.contains(&(token as usize)));
            prop_assert!(temperature > 0.0 && top_k > 1 || token == greedy);
        }
        prop_assert_eq!(draws(&Sampling::greedy(1), 0, &logits, 1), [greedy]);
    }
}
