//! What a run says of itself: its plan before the first step, and what it came to after the last.

use crate::metrics_log;
use crate::pretrain::TrainError;
use crate::run::Run;
use crate::trainer::Trainer;
use std::path::Path;
use wootz_models::nanochat;
use wootz_program::{Backend, MemoryUse, Recompute};
use wootz_schema::dataset::Cursor;
use wootz_schema::metrics::{EvalPoint, MetricsRecord, TrainStep};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_stdx::human;

pub(crate) fn announce(run: &Run, trainer: &Trainer, backend: &dyn Backend, observe: &dyn Observe) {
    let (model, memory) = (&run.sizes.model, trainer.memory());
    let counts = nanochat::counts(model);
    let text = format!(
        "model: depth {}, C {}, {} heads of {}, vocabulary {}: {} parameters ({} in scaling laws)\n\
         batch: {} tokens = {} micro-batches of {}×{}; {} steps, {} tokens\n\
         memory plan: {} weights, gradients and states + {} arena = {} peak, on {}",
        model.n_layer,
        model.n_embd,
        model.n_head,
        model.head_dim(),
        model.vocab_size,
        human::count(counts.total as u64),
        human::count(counts.scaling as u64),
        run.total_batch_size,
        run.accumulation,
        run.sizes.batch,
        model.sequence_len,
        run.schedule.steps,
        human::count(run.schedule.steps * run.total_batch_size),
        human::bytes(memory.persistent_bytes as u64),
        human::bytes(memory.arena_bytes as u64),
        human::bytes((memory.persistent_bytes + memory.arena_bytes) as u64),
        backend.describe(),
    );
    observe.observe(Progress::Message(&text));
    if let Recompute::Ranked(nodes) = trainer.recompute() {
        let text = format!("memory budget: the backward pass runs {nodes} nodes again");
        observe.observe(Progress::Message(&text));
    }
}

pub(crate) fn dropped_share(cursor: &Cursor) -> f64 {
    let read = cursor.placed_tokens + cursor.dropped_tokens;
    if read == 0 { 0.0 } else { cursor.dropped_tokens as f64 / read as f64 }
}

pub(crate) fn summarize(
    config: &PretrainConfig,
    run: &Run,
    out: &Path,
    backend: &dyn Backend,
    memory: MemoryUse,
    dropped_token_share: f64,
) -> Result<TrainSummary, TrainError> {
    let records = metrics_log::read(&out.join("metrics.jsonl"))?;
    let steps: Vec<&TrainStep> = records
        .iter()
        .filter_map(|r| if let MetricsRecord::Train(step) = r { Some(step) } else { None })
        .collect();
    let evals: Vec<&EvalPoint> = records
        .iter()
        .filter_map(|r| if let MetricsRecord::Eval(point) = r { Some(point) } else { None })
        .collect();
    let mut speeds: Vec<f64> = steps.iter().map(|s| s.tokens_per_second).collect();
    speeds.sort_by(f64::total_cmp);
    let folder = wootz_checkpoint::step_folder(&out.join("checkpoints"), run.schedule.steps);
    let counts = nanochat::counts(&run.sizes.model);
    Ok(TrainSummary {
        version: wootz_schema::metrics::VERSION,
        model: run.sizes.model.clone(),
        parameters: counts.total as u64,
        scaling_parameters: counts.scaling as u64,
        flops_per_token: nanochat::flops_per_token(&run.sizes.model),
        backend: backend.describe(),
        steps: run.schedule.steps,
        total_batch_size: run.total_batch_size,
        tokens: run.schedule.steps * run.total_batch_size,
        dropped_token_share,
        final_loss: steps.last().map(|s| s.loss),
        initial_bpb: evals.iter().find(|e| e.step == 0).map(|e| e.bpb),
        final_bpb: evals
            .iter()
            .rfind(|e| e.step == run.schedule.steps && config.eval_every > 0)
            .map(|e| e.bpb),
        persistent_bytes: memory.persistent_bytes as u64,
        arena_bytes: memory.arena_bytes as u64,
        checkpoint: folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        digest: wootz_checkpoint::digest(&folder)?,
        seconds: steps.iter().map(|s| run.total_batch_size as f64 / s.tokens_per_second).sum(),
        tokens_per_second: speeds.get(speeds.len() / 2).copied().unwrap_or(0.0),
    })
}
