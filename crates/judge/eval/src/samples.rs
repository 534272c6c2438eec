//! Samples: what a model writes after given beginnings, for people to read beside the figures.

use crate::model::{Completion, EvalError, Generate, Prompt};
use wootz_schema::eval::{EvalOptions, Sample, Sampling};
use wootz_schema::progress::{Observe, Progress};

/// Continues every prompt of the options, greedily and then, where the temperature is not 0, by drawing.
///
/// Samples come prompt by prompt, the greedy one first.
pub fn samples(
    model: &mut dyn Generate,
    options: &EvalOptions,
    observe: &dyn Observe,
) -> Result<Vec<Sample>, EvalError> {
    if options.prompts.is_empty() {
        return Ok(Vec::new());
    }
    let prompts: Vec<Prompt> = options.prompts.iter().map(|text| Prompt { text: text.clone() }).collect();
    let mut ways = vec![Sampling::greedy(options.max_new_tokens)];
    if options.temperature != 0.0 {
        ways.push(options.sampling());
    }
    let total = (ways.len() * prompts.len()) as u64;
    observe.observe(Progress::Begin { task: "eval: samples", total: Some(total), unit: "texts" });
    let mut columns = Vec::new();
    for sampling in ways {
        let completions = model.generate(&prompts, &sampling)?;
        if completions.len() != prompts.len() {
            let (expected, actual) = (prompts.len(), completions.len());
            return Err(EvalError::Count { what: "completions", expected, actual });
        }
        columns.push(completions.into_iter().map(move |completion| (completion, sampling.clone())));
        observe.observe(Progress::Advance { done: (columns.len() * prompts.len()) as u64 });
    }
    let mut samples = Vec::new();
    for prompt in prompts {
        for (completion, sampling) in columns.iter_mut().filter_map(Iterator::next) {
            samples.push(record(&prompt, completion, sampling));
        }
    }
    observe.observe(Progress::End);
    Ok(samples)
}

fn record(prompt: &Prompt, completion: Completion, sampling: Sampling) -> Sample {
    let Completion { text, tokens, ended } = completion;
    Sample { prompt: prompt.text.clone(), completion: text, tokens, ended, sampling }
}
