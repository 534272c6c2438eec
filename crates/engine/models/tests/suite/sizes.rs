//! Counts and initial weights.

use std::collections::BTreeMap;
use wootz_models::nanochat::{self, Dial, counts, flops_per_token, from_depth, window};
use wootz_schema::model::ModelConfig;
use wootz_tensor::HostTensor;

fn depth(depth: usize) -> ModelConfig {
    let window_pattern = "SSSL".to_owned();
    from_depth(&Dial { depth, vocab_size: 32_768, sequence_len: 2048, window_pattern }).unwrap()
}

/// Total and scaling weights, in tenths of a million.
fn check(layers: usize, expected: [usize; 2]) {
    let counts = counts(&depth(layers));
    assert_eq!([counts.total, counts.scaling].map(|n| (n + 50_000) / 100_000), expected, "{counts:?}");
}

#[test]
fn counts_are_nanochats() {
    check(12, [2863, 1101]);
    check(20, [8965, 4352]);
    check(24, [13841, 7298]);
}

#[test]
fn windows_follow_the_pattern_and_end_long() {
    let config = depth(6);
    let windows: Vec<_> = (0..6).map(|layer| window(&config, layer)).collect();
    assert_eq!(windows, [Some(512), Some(512), Some(512), None, Some(512), None]);
    let short = ModelConfig { sequence_len: 100, ..config };
    assert_eq!(window(&short, 0), None, "a window as long as the context is none");
}

#[test]
fn flops_count_products_and_visible_positions() {
    let config = depth(2);
    let attention = 12 * 128 * (512 + 2048);
    assert_eq!(flops_per_token(&config), (6 * counts(&config).products + attention) as u64);
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let refused = |change: &dyn Fn(&mut ModelConfig)| {
        let mut config = depth(4);
        change(&mut config);
        nanochat::validate(&config).unwrap_err().to_string()
    };
    let reason = |text: &str| format!("use the model configuration: {text}");
    assert_eq!(refused(&|c| c.n_kv_head = 3), reason("2 query heads cannot share 3 key/value heads"));
    assert_eq!(refused(&|c| c.n_head = 3), reason("256 channels do not split into 3 heads of even width"));
    assert_eq!(refused(&|c| c.window_pattern = "SX".to_owned()), reason("window pattern \"SX\""));
    assert_eq!(refused(&|c| c.n_embd = 16), reason("the smear gate reads 24 channels, there are 16"));
    assert_eq!(refused(&|c| c.n_layer = 0), reason("depth, sequence length and vocabulary must not be 0"));
}

fn initial(config: &ModelConfig, seed: u64, reversed: bool) -> BTreeMap<String, HostTensor> {
    let mut parameters = nanochat::parameters(config);
    if reversed {
        parameters.reverse();
    }
    parameters.iter().map(|p| (p.name.clone(), nanochat::initial(config, p, seed))).collect()
}

fn small() -> ModelConfig {
    ModelConfig { n_embd: 128, n_head: 2, n_kv_head: 1, vocab_size: 500, sequence_len: 64, ..depth(2) }
}

#[test]
fn initial_weights_depend_on_seed_and_name_only() {
    let config = small();
    let weights = initial(&config, 1, false);
    assert_eq!(weights, initial(&config, 1, true));
    assert_eq!(weights, initial(&ModelConfig { sequence_len: 8, ..config.clone() }, 1, false));
    // A deeper model of the same width has the same matrices where the names are the same.
    let deeper = initial(&ModelConfig { n_layer: 4, ..config.clone() }, 1, false);
    let name = "transformer.h.1.attn.c_q.weight";
    assert_eq!(weights[name], deeper[name]);
    assert_ne!(weights[name], initial(&config, 2, false)[name]);
    assert_ne!(weights[name], weights["transformer.h.0.attn.c_q.weight"]);
}

#[test]
fn initial_weights_have_their_deviations() {
    let config = small();
    let weights = initial(&config, 1, false);
    let deviation = |name: &str| {
        let values = weights[name].as_f32().unwrap();
        (values.iter().map(|x| f64::from(x * x)).sum::<f64>() / values.len() as f64).sqrt()
    };
    let near = |name: &str, expected: f64| {
        let actual = deviation(name);
        assert!((actual - expected).abs() <= 0.03 * expected, "{name}: {actual}");
    };
    near("transformer.wte.weight", 0.8);
    near("lm_head.weight", 0.001);
    near("transformer.h.0.attn.c_q.weight", 128f64.powf(-0.5));
    near("transformer.h.0.mlp.c_fc.weight", 0.4 * 128f64.powf(-0.5));
    near("value_embeds.1.weight", 128f64.powf(-0.5));
    assert_eq!(deviation("transformer.h.0.attn.c_proj.weight"), 0.0);
    assert_eq!(weights["resid_lambdas"].as_f32().unwrap(), [1.15, 1.05]);
    assert_eq!(weights["x0_lambdas"].as_f32().unwrap(), [0.2, 0.05]);
}
