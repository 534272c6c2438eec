//! Samples of a model that echoes what it was asked.

use crate::no_gpu;
use wootz_eval::model::{Completion, EvalError, Generate, ModelError, Prompt};
use wootz_eval::samples::samples;
use wootz_schema::eval::{EvalOptions, Sampling};
use wootz_schema::progress::Silent;
use wootz_schema::{Diagnose, ExitCode};

struct Echo {
    /// Completions it leaves out.
    missing: usize,
}

impl Generate for Echo {
    fn generate(&mut self, prompts: &[Prompt], sampling: &Sampling) -> Result<Vec<Completion>, ModelError> {
        let text = |prompt: &Prompt| format!("{} at {}", prompt.text, sampling.temperature);
        let completion =
            |prompt| Completion { text: text(prompt), tokens: sampling.max_new_tokens, ended: true };
        Ok(prompts.iter().skip(self.missing).map(completion).collect())
    }
}

struct Broken;

impl Generate for Broken {
    fn generate(&mut self, _: &[Prompt], _: &Sampling) -> Result<Vec<Completion>, ModelError> {
        Err(no_gpu())
    }
}

fn options(prompts: &[&str], temperature: f32) -> EvalOptions {
    EvalOptions {
        prompts: prompts.iter().map(|&prompt| prompt.to_owned()).collect(),
        temperature,
        max_new_tokens: 3,
        ..EvalOptions::default()
    }
}

fn check(prompts: &[&str], temperature: f32, expected: &[&str]) {
    let options = options(prompts, temperature);
    let samples = samples(&mut Echo { missing: 0 }, &options, &Silent).unwrap();
    let texts: Vec<&str> = samples.iter().map(|sample| sample.completion.as_str()).collect();
    assert_eq!(texts, expected);
    for sample in &samples {
        assert!(sample.completion.starts_with(&sample.prompt));
        assert!(sample.tokens == 3 && sample.ended);
        let drawn = sample.sampling.temperature != 0.0;
        assert_eq!(sample.sampling, if drawn { options.sampling() } else { Sampling::greedy(3) });
    }
}

#[test]
fn every_prompt_is_continued_greedily_and_by_drawing() {
    check(&["fn", "use"], 0.5, &["fn at 0", "fn at 0.5", "use at 0", "use at 0.5"]);
    check(&["fn", "use"], 0.0, &["fn at 0", "use at 0"]);
}

#[test]
fn no_prompts_need_no_model() {
    assert_eq!(samples(&mut Broken, &options(&[], 1.0), &Silent).unwrap(), []);
}

#[test]
fn failures_come_through() {
    let error = samples(&mut Broken, &options(&["fn"], 1.0), &Silent).unwrap_err();
    assert_eq!((error.exit(), error.hint()), (ExitCode::Environment, Some("plug one in".to_owned())));
    let error = samples(&mut Echo { missing: 1 }, &options(&["fn", "use"], 1.0), &Silent).unwrap_err();
    assert!(matches!(error, EvalError::Count { what: "completions", expected: 2, actual: 1 }));
    assert_eq!(error.exit(), ExitCode::Bug);
}
