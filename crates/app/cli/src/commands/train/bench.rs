//! `wootz train bench`: how fast this machine trains a model of a given shape.

use super::Part;
use crate::commands::Context;
use crate::environment;
use crate::launch;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::path::{Path, PathBuf};
use wootz_cuda::Precision;
use wootz_schema::bench::{BenchReport, HeldTensors};
use wootz_schema::device::Device;
use wootz_schema::profile::Profile;
use wootz_schema::train::RecomputePolicy;
use wootz_stations::bench::{BenchOptions, Dial, bench};
use wootz_stations::device::Wanted;
use wootz_stdx::human;

/// Measure a training step of a model of this shape, on random weights and tokens.
///
/// A throughput counts the tokens of one optimizer step over the time of its micro-steps and its
/// update. With --json the keys are those of the script that measures PyTorch, so that the two
/// can be set side by side.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Number of blocks, from which all sizes follow.
    #[arg(long, value_name = "N", default_value_t = 20)]
    depth: usize,
    /// Rows of a micro-batch.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Tokens of a row.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    seq: usize,
    /// Entries of the vocabulary.
    #[arg(long, value_name = "N", default_value_t = 32768)]
    vocab: usize,
    /// Attention window of each layer, S (short) and L (long), tiled.
    #[arg(long, value_name = "PATTERN", default_value = "L")]
    window_pattern: String,
    /// Tokens of one optimizer step.
    #[arg(long, value_name = "N", default_value_t = 524288)]
    tokens_per_step: usize,
    /// Groups of rows that a micro-batch is worked off in, so that only one group's activations are held.
    #[arg(long, value_name = "N", default_value_t = 1)]
    slices: usize,
    /// Samples of the micro-step.
    #[arg(long, value_name = "N", default_value_t = 10)]
    repeats: usize,
    /// What the backward pass computes again: none, cheap (the inner activations of feed-forward blocks) or block.
    #[arg(long, value_name = "LEVEL", default_value = "none", value_parser = ["none", "cheap", "block"])]
    recompute: String,
    /// Largest memory of the plan, e.g. 36GiB: of what the backward pass can compute again, what costs least for each
    /// byte, as much as it takes; a plan that is still larger is an error.
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<String>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: Device,
    /// Compute large products in 8 bits.
    #[arg(long)]
    fp8: bool,
    /// Keep accumulated gradients in bf16.
    #[arg(long)]
    bf16_gradients: bool,
    /// Keep embedding tables in f32.
    #[arg(long)]
    f32_tables: bool,
    /// The same bits in every run.
    #[arg(long)]
    deterministic: bool,
    /// Of several GPUs: sum gradients beside the backward pass of the last micro-step.
    #[arg(long)]
    overlap_collectives: bool,
    /// Worker threads of the CPU [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Also trace a step, and write profile.md, profile.json and trace.json there.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    ranks: super::Ranks,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let world = match super::part(&args.ranks)? {
        Part::Rank(world) => world,
        Part::Launcher(ranks) => {
            let cancel = context.cancel()?;
            let said = launch::ranks(ranks, &cancel)?;
            return Ok(Outcome::ok(format!("{said:#}\n"), said));
        }
    };
    let options = BenchOptions {
        dial: Dial {
            depth: args.depth,
            vocab_size: args.vocab,
            sequence_len: args.seq,
            window_pattern: args.window_pattern.clone(),
        },
        batch: args.batch,
        slices: args.slices,
        tokens_per_step: args.tokens_per_step,
        repeats: args.repeats,
        recompute: match args.recompute.as_str() {
            "block" => RecomputePolicy::Block,
            "cheap" => RecomputePolicy::Cheap,
            _ => RecomputePolicy::None,
        },
        memory_budget: args.memory_budget.as_deref().map(budget).transpose()?,
        wanted: Wanted {
            device: args.ranks.device(args.device)?,
            precision: Precision {
                bf16_gradients: args.bf16_gradients,
                bf16_tables: !args.f32_tables,
                fp8: args.fp8,
            },
            deterministic: args.deterministic,
            overlap_collectives: args.overlap_collectives,
            threads: crate::commands::threads(args.threads)?.unwrap_or(0),
        },
        profile: args.profile.clone(),
    };
    let (report, profile) = bench(&options, &environment::machine(), &world)?;
    let mut text = facts(&rows(&report));
    if args.profile.is_some() {
        text.push_str(&at_peak(&report));
    }
    if let (Some(profile), Some(folder)) = (&profile, &args.profile) {
        text.push_str(&profiled(profile, folder));
    }
    Ok(Outcome::ok(text, json!(report)))
}

fn rows(report: &BenchReport) -> Vec<(&'static str, String)> {
    let gib = |value: Option<f64>| value.map(|gib| format!("{gib:.2} GiB"));
    let mut rows = vec![
        ("device", format!("{}, {}", report.backend, report.numerics)),
        ("model", format!("depth {}, {} parameters", report.depth, human::count(report.parameters as u64))),
        ("micro-step", format!("{:.2} ms, {} rows of {} tokens", report.micro_ms, report.batch, report.seq)),
        ("update", format!("{:.2} ms", report.optimizer_ms)),
        (
            "speed",
            format!(
                "{:.0} tok/s ({:.0} to {:.0})",
                report.tokens_per_second, report.tokens_per_second_min, report.tokens_per_second_max
            ),
        ),
    ];
    rows.extend(report.mfu_percent.map(|percent| ("of the peak", format!("{percent:.2} %"))));
    rows.push((
        "plan",
        format!(
            "{:.2} GiB: {:.2} persistent, {:.2} arena",
            report.peak_gib, report.persistent_gib, report.arena_gib
        ),
    ));
    rows.extend(report.recomputed_nodes.map(|nodes| ("run again", format!("{nodes} nodes, for the budget"))));
    rows.extend(gib(report.driver_peak_gib).map(|text| ("driver", text)));
    rows.push(("loss", format!("{:.4}", report.loss)));
    rows
}

fn budget(text: &str) -> Result<u64, Failure> {
    human::parse_bytes(text).ok_or_else(|| {
        Failure::usage(format!("read the memory budget {text:?}"), "write a size such as 8GiB or 512MB")
    })
}

/// What holds the arena at its peak, but for what is hardly seen.
fn at_peak(report: &BenchReport) -> String {
    let header = [("arena at its peak", Align::Left), ("tensors", Align::Right), ("GiB", Align::Right)];
    let seen = report.arena_at_peak.iter().filter(|held| 100.0 * held.gib >= report.arena_gib);
    let row =
        |held: &HeldTensors| vec![held.what.clone(), held.count.to_string(), format!("{:.2}", held.gib)];
    format!("\n{}", table(&header, &seen.map(row).collect::<Vec<_>>()))
}

/// The kernel table.
fn profiled(profile: &Profile, folder: &Path) -> String {
    let (names, rows) = wootz_stations::bench::table_of(profile);
    let align = |at: usize| if at == 0 { Align::Left } else { Align::Right };
    let header: Vec<(&str, Align)> = names.iter().enumerate().map(|(at, name)| (*name, align(at))).collect();
    let facts = facts(&wootz_stations::bench::facts_of(profile));
    format!("\n{facts}\n{}\nwritten to {}\n", table(&header, &rows), folder.display())
}
