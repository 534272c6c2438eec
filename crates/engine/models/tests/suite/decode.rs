//! One token at a time against caches gives the logits of the whole sequence at once.

use wootz_cpu::{CpuBackend, Mode};
use wootz_models::nanochat::{self, LOGITS, POSITION, TOKENS};
use wootz_program::{Backend, Planned, Program, Role, plan};
use wootz_schema::model::ModelConfig;
use wootz_tensor::{Data, HostTensor};
use wootz_testkit::Random;

const BATCH: usize = 2;

fn planned(backend: &CpuBackend, program: Program) -> Planned {
    let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
    Planned { program, plan }
}

fn numbers(tensor: &HostTensor) -> Vec<f64> {
    match tensor.data() {
        Data::F64(v) => v.clone(),
        _ => tensor.as_f32().unwrap().iter().map(|x| f64::from(*x)).collect(),
    }
}

/// Largest difference between both ways, over all positions.
fn difference(config: &ModelConfig, backend: &CpuBackend) -> f64 {
    let t_len = config.sequence_len;
    let full = nanochat::full_logits(config, BATCH).unwrap();
    // Capacity beyond the sequence: what was never written must not show.
    let decode = nanochat::decode(config, BATCH, t_len + 3).unwrap();
    let parameters = nanochat::parameters(config);
    let states: Vec<String> = decode.of_role(Role::State).into_keys().map(str::to_owned).collect();
    assert_eq!(states.len(), 1 + 2 * config.n_layer);
    let mut whole = backend.load(vec![planned(backend, full)]).unwrap();
    let mut stepwise = backend.load(vec![planned(backend, decode)]).unwrap();
    for parameter in &parameters {
        let mut random = Random::of(5, &parameter.name);
        let scale = 1.5 / (parameter.shape.last() as f64).sqrt();
        let values = (0..parameter.shape.len()).map(|_| (scale * random.normal()) as f32).collect();
        let tensor = HostTensor::f32(parameter.shape.clone(), values).unwrap();
        whole.write(&parameter.name, &tensor).unwrap();
        stepwise.write(&parameter.name, &tensor).unwrap();
    }
    let mut random = Random::of(6, "tokens");
    let tokens: Vec<i32> = (0..BATCH * t_len).map(|_| random.below(config.vocab_size) as i32).collect();
    whole.write(TOKENS, &HostTensor::i32([BATCH, t_len], tokens.clone()).unwrap()).unwrap();
    whole.run(0).unwrap();
    let (expected, vocab) = (numbers(&whole.read(LOGITS).unwrap()), config.vocab_size);
    let mut worst = 0.0;
    for t in 0..t_len {
        let column = (0..BATCH).map(|b| tokens[b * t_len + t]).collect();
        stepwise.write(TOKENS, &HostTensor::i32([BATCH, 1], column).unwrap()).unwrap();
        stepwise.write(POSITION, &HostTensor::i32([], vec![t as i32]).unwrap()).unwrap();
        stepwise.run(0).unwrap();
        let actual = numbers(&stepwise.read(LOGITS).unwrap());
        for b in 0..BATCH {
            let (a, e) = (&actual[b * vocab..][..vocab], &expected[(b * t_len + t) * vocab..][..vocab]);
            worst = a.iter().zip(e).map(|(a, e)| (a - e).abs()).fold(worst, f64::max);
        }
    }
    let spread = expected.iter().fold(0.0f64, |top, z| top.max(z.abs()));
    assert!(spread > 1.0, "logits of {spread} say little");
    worst
}

fn check(n_layer: usize, [n_head, n_kv_head]: [usize; 2], pattern: &str, window: usize, sequence_len: usize) {
    let config = ModelConfig {
        sequence_len,
        vocab_size: 61,
        n_layer,
        n_head,
        n_kv_head,
        n_embd: 32,
        window_pattern: pattern.to_owned(),
        window_short: Some(window),
    };
    let exact = difference(&config, &CpuBackend::reference(Mode::Reference64).poisoned());
    assert!(exact < 1e-11, "{config:?}: {exact:e} by definition");
    let fast = difference(&config, &CpuBackend::fast(2).poisoned());
    assert!(fast < 1e-4, "{config:?}: {fast:e} on the fast path");
}

#[test]
fn decoding_gives_the_logits_of_the_whole() {
    check(1, [1, 1], "L", 8, 5);
    check(2, [4, 2], "L", 8, 20);
    check(3, [2, 2], "SL", 3, 30);
    check(4, [4, 1], "SSSL", 7, 70);
    check(2, [2, 1], "SL", 0, 9);
}

#[test]
fn positions_beyond_the_cache_are_refused() {
    let config = nanochat::from_depth(&nanochat::Dial {
        depth: 1,
        vocab_size: 10,
        sequence_len: 4,
        window_pattern: "L".to_owned(),
    });
    let program = nanochat::decode(&config.unwrap(), 1, 4).unwrap();
    let backend = CpuBackend::fast(1);
    let mut session = backend.load(vec![planned(&backend, program)]).unwrap();
    let mut run_at = |position: i32| {
        session.write(POSITION, &HostTensor::i32([], vec![position]).unwrap()).unwrap();
        session.run(0).map_err(|e| e.to_string())
    };
    assert_eq!(run_at(3), Ok(()));
    assert_eq!(run_at(4), Err("run attention_decode: position 4 is beyond the cache of 4".to_owned()));
    assert!(run_at(-1).is_err());
}
