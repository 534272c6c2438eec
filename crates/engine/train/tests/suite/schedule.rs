//! Tables of hand-derived values, and what holds for any run.

use proptest::prelude::*;
use wootz_train::schedule::{Horizon, Schedule, lr_scale};

fn check(what: &str, actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() <= 1e-12 * expected.abs().max(1.0),
        "{what}: {actual} is not {expected}"
    );
}

/// 1,000 steps: 40 up, level to step 350, 650 down.
#[test]
fn the_learning_rate_of_a_long_run() {
    let schedule = Schedule::new(1000);
    let table = [
        (0, 0.025),
        (1, 0.05),
        (19, 0.5),
        (39, 1.0),
        (40, 1.0),
        (350, 1.0),
        (351, 649.0 / 650.0 + 0.05 / 650.0),
        (675, 0.5 + 0.5 * 0.05),
        (999, 1.0 / 650.0 + 649.0 / 650.0 * 0.05),
        (1000, 0.05),
    ];
    for (step, expected) in table {
        check(&format!("lr at {step}"), schedule.lr_multiplier(step), expected);
    }
}

/// 200 steps: 40 up, level to step 70, 130 down. 50 steps: 32 down (32.5 rounds to even), so they overlap.
#[test]
fn the_learning_rate_of_short_runs() {
    let cases = [
        (200, 39, 1.0),
        (200, 70, 1.0),
        (200, 71, 129.0 / 130.0 + 0.05 / 130.0),
        (200, 199, 1.0 / 130.0 + 0.05 * 129.0 / 130.0),
        (50, 0, 0.025),
        (50, 18, 19.0 / 40.0),
        (50, 26, 27.0 / 40.0),
        (50, 27, 28.0 / 40.0),
        (50, 28, 22.0 / 32.0 + 0.05 * 10.0 / 32.0),
        (50, 49, 1.0 / 32.0 + 0.05 * 31.0 / 32.0),
        (1, 0, 0.025),
    ];
    for (steps, step, expected) in cases {
        check(&format!("lr at {step} of {steps}"), Schedule::new(steps).lr_multiplier(step), expected);
    }
    let flat = Schedule { steps: 10, warmup_steps: 0, warmdown_ratio: 0.0, final_fraction: 0.0 };
    assert_eq!((0..=11).map(|step| flat.lr_multiplier(step)).fold(0.0, f64::max), 1.0);
    assert_eq!((0..=11).map(|step| flat.lr_multiplier(step)).fold(1.0, f64::min), 1.0);
}

/// 2,000 steps: the warmdown begins at step 700.
#[test]
fn the_momentum() {
    let table = [
        (2000, 0, 0.85),
        (2000, 100, 0.88),
        (2000, 200, 0.91),
        (2000, 400, 0.97),
        (2000, 699, 0.97),
        (2000, 700, 0.97),
        (2000, 1350, 0.935),
        (2000, 2000, 0.90),
        // The rise comes first even in the warmdown; what is left of the fall follows it.
        (50, 49, 0.85 + 0.12 * 49.0 / 400.0),
        (500, 399, 0.85 + 0.12 * 399.0 / 400.0),
        (500, 400, 0.97 - 0.07 * (400.0 - 175.0) / 325.0),
    ];
    for (steps, step, expected) in table {
        check(&format!("momentum at {step} of {steps}"), Schedule::new(steps).momentum(step), expected);
    }
}

#[test]
fn the_weight_decay() {
    let schedule = Schedule::new(600);
    // cos 0 = 1, cos 60° = ½, cos 90° = 0, cos 120° = −½, cos 180° = −1.
    for (step, expected) in [(0, 1.0), (200, 0.75), (300, 0.5), (400, 0.25), (600, 0.0)] {
        check(&format!("decay at {step}"), schedule.weight_decay_multiplier(step), expected);
    }
}

/// Scaling parameters of depths 4, 12, 20, 24 and 32 with a vocabulary of 32,768.
#[test]
fn the_horizon_follows_the_size() {
    const D12: u64 = 110_100_912;
    let cases = [
        // log2((11.5/110.1)^0.383) = −1.25: half the batch.
        (11_534_384, 1 << 18, 138_412_608, 528, 0.28 * 0.5f64.sqrt() * D12 as f64 / 11_534_384.0),
        // The reference itself: all factors are 1.
        (D12, 1 << 19, 1_321_210_944, 2520, 0.28),
        // log2((435.2/110.1)^0.383) = 0.76: twice the batch.
        (435_160_240, 1 << 20, 5_221_922_880, 4980, 0.28 * 2f64.sqrt() * D12 as f64 / 435_160_240.0),
        // log2((729.8/110.1)^0.383) = 1.05.
        (729_810_624, 1 << 20, 8_757_727_488, 8352, 0.28 * 2f64.sqrt() * D12 as f64 / 729_810_624.0),
        // log2((1677.7/110.1)^0.383) = 1.505: just past the half.
        (1_677_724_672, 1 << 21, 20_132_696_064, 9600, 0.28 * 2.0 * D12 as f64 / 1_677_724_672.0),
    ];
    for (parameters, batch, tokens, steps, decay) in cases {
        let horizon = Horizon::new(12.0, parameters, D12);
        assert_eq!(horizon.target_tokens, tokens);
        assert_eq!(horizon.batch_tokens(), batch);
        assert_eq!(horizon.steps(batch), steps);
        check("weight decay", horizon.weight_decay(batch), decay);
    }
    // The source's own figures at ratio 8, depths 24 and 26.
    assert_eq!(Horizon::new(8.0, 729_810_624, D12).steps(1 << 20), 5568);
    assert_eq!(Horizon::new(8.0, 918_423_532, D12).steps(1 << 20), 7007);
    check("lr scale", lr_scale(1 << 17), 0.5);
    check("lr scale", lr_scale(1 << 19), 1.0);
}

#[test]
fn a_model_of_almost_nothing_still_has_a_run() {
    let horizon = Horizon::new(12.0, 0, 110_100_000);
    assert_eq!((horizon.batch_tokens(), horizon.steps(1)), (1, 1));
}

proptest! {
    #[test]
    fn any_run_is_within_bounds_and_without_jumps(
        steps in 1u64..3000,
        warmup_steps in 0u64..100,
        warmdown_ratio in 0.0..=1.0,
        final_fraction in 0.0..=1.0,
    ) {
        let schedule = Schedule { steps, warmup_steps, warmdown_ratio, final_fraction };
        let steepest = (1.0 / warmup_steps.max(1) as f64)
            .max(1.0 / (warmdown_ratio * steps as f64).round_ties_even().max(1.0));
        for step in 0..steps {
            let lr = schedule.lr_multiplier(step);
            prop_assert!((0.0..=1.0).contains(&lr));
            prop_assert!((0.85..=0.97).contains(&schedule.momentum(step)));
            prop_assert!((0.0..=1.0).contains(&schedule.weight_decay_multiplier(step)));
            prop_assert!((schedule.lr_multiplier(step + 1) - lr).abs() <= steepest + 1e-12);
        }
    }
}
