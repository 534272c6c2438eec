//! `wootz train`: a checkpoint from token shards.

mod bench;

use super::Context;
use crate::environment;
use crate::launch;
use crate::outcome::{Failure, Outcome};
use crate::rank;
use crate::render::table::facts;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use wootz_mesh::World;
use wootz_schema::device::Device;
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_stdx::human;

/// Train a model, or measure how fast this machine trains one.
#[derive(clap::Subcommand)]
pub enum Command {
    Pretrain(Box<Pretrain>),
    Bench(bench::Args),
}

/// Train a model from its first weights on the shards of a dataset.
///
/// The plan of the training step is made first: its peak memory is printed before step 1 and
/// is what is used. Each step is a line of metrics.jsonl; TensorBoard files stand beside it. A
/// run that was stopped or killed goes on from its newest whole checkpoint when the same command
/// is given again, and ends with the same bytes.
///
/// The configuration is a YAML file with the keys of a plan's `train:` block, e.g.
///
///   data: shards
///   tokenizer: tokenizer.json
///   depth: 4
///   sequence_len: 256
///   device_batch_size: 16
///   total_batch_size: 4096
///   steps: 100
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Pretrain {
    /// The configuration; without it every key has its default or comes from --set.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value of one key, in place of the file's; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::plan::name_and_value)]
    set: Vec<(String, String)>,
    /// The dataset; the same as --set data=DIR.
    #[arg(long, short, value_name = "DIR")]
    data: Option<String>,
    /// The tokenizer.json; the same as --set tokenizer=FILE.
    #[arg(long, short, value_name = "FILE")]
    tokenizer: Option<String>,
    /// Number of blocks, from which all sizes follow; the same as --set depth=N.
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Number of updates; the same as --set steps=N.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Folder of checkpoints and metrics.
    #[arg(long, short, value_name = "DIR", default_value = "pretrain")]
    out: PathBuf,
    /// Worker threads [default: the file's, $WOOTZ_THREADS, or one per core]; they do not change the result.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Largest memory of the plan, e.g. 8GiB: slices and recomputation, as much as it takes; a plan that is still larger
    /// is an error before step 1.
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<String>,
    /// auto, cpu, cuda or cuda:N; the same as --set device=NAME.
    ///
    /// auto takes the first GPU where it and all its libraries can be used (see `wootz doctor`), else the CPU, and says
    /// why. A run may go on on another device.
    #[arg(long, value_name = "NAME")]
    device: Option<Device>,
    /// Compute large products in 8 bits, on a GPU that has them; the same as --set fp8=true.
    #[arg(long)]
    fp8: bool,
    /// The same bits in every run on a GPU, at some cost in speed; the same as --set deterministic=true.
    #[arg(long)]
    deterministic: bool,
    /// What to do when the loss or the gradient is no finite number: stop, or skip the update of that step; the same as
    /// --set on_nan=stop|skip.
    #[arg(long, value_name = "WHAT", value_parser = ["stop", "skip"])]
    on_nan: Option<String>,
    /// Write profile.md, profile.json and trace.json (for a browser's tracing page) of one of the first steps; the same
    /// as --set profile=true.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    ranks: Ranks,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    let args = match command {
        Command::Pretrain(args) => args,
        Command::Bench(args) => return bench::run(args, context),
    };
    let config = settings(args)?;
    let cancel = context.cancel()?;
    let summary = match part(&args.ranks)? {
        Part::Launcher(ranks) => {
            let mut said = launch::ranks(ranks, &cancel)?;
            serde_json::from_value(said["summary"].take()).map_err(|_| Failure::bug())?
        }
        Part::Rank(world) => {
            let (machine, observe) = (environment::machine(), context.observe.as_ref());
            wootz_stations::pretrain_among(&world, &config, &args.out, &machine, observe, &cancel)?
        }
    };
    let checkpoint = args.out.join("checkpoints").join(&summary.checkpoint);
    Ok(Outcome::ok(
        facts(&rows(&summary, &checkpoint)),
        json!({ "checkpoint": checkpoint, "summary": summary }),
    ))
}

/// How many processes train.
#[derive(clap::Args)]
struct Ranks {
    /// GPUs of this machine to train on, each by a process of its own, which this one starts and watches.
    ///
    /// The batch is that of all together, and the result the same but for rounding; a run may go on on another number of
    /// them. For several hosts, start one process a GPU with a launcher that sets RANK, WORLD_SIZE, LOCAL_RANK,
    /// MASTER_ADDR and MASTER_PORT, all with one --out that they share.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    gpus: Option<u16>,
    /// Processes to train in, on whatever device is asked for: with --device cpu, several on one machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "gpus")]
    ranks: Option<u16>,
}

impl Ranks {
    /// The device, where the number of GPUs says that it is one.
    fn device(&self, wanted: Device) -> Result<Device, Failure> {
        match (self.gpus, wanted) {
            (None, _) => Ok(wanted),
            (Some(_), Device::Auto | Device::Cuda(0)) => Ok(Device::Cuda(0)),
            (Some(gpus), device) => Err(Failure::usage(
                format!("train on {gpus} GPUs with device: {device}"),
                "leave out the device, or give --ranks in place of --gpus",
            )),
        }
    }
}

/// What this process is to a job.
enum Part {
    /// It starts so many ranks.
    Launcher(usize),
    /// It is one, or the only one.
    Rank(World),
}

fn part(asked: &Ranks) -> Result<Part, Failure> {
    let ranks = asked.gpus.or(asked.ranks).map(usize::from);
    match (rank::place()?, ranks) {
        (Some(place), Some(ranks)) if ranks != place.size => Err(Failure::usage(
            format!("start {ranks} ranks: this process is already one of {}", place.size),
            "leave out --gpus and --ranks where a launcher starts the ranks",
        )),
        (Some(place), _) => rank::join(&place).map(Part::Rank),
        (None, Some(ranks)) if ranks > 1 => Ok(Part::Launcher(ranks)),
        (None, _) => Ok(Part::Rank(World::single())),
    }
}

/// The file, then `--set`, then the flags.
fn settings(args: &Pretrain) -> Result<PretrainConfig, Failure> {
    let mut tree = match &args.config {
        Some(path) => read(path)?,
        None => json!({}),
    };
    let file = args.config.as_ref().map_or_else(|| "--set".to_owned(), |path| path.display().to_string());
    let Some(keys) = tree.as_object_mut() else {
        return Err(Failure::usage(
            format!("read {file}: it is no mapping of keys to values"),
            "write KEY: VALUE lines",
        ));
    };
    for (key, value) in &args.set {
        let value: Value = serde_yaml_ng::from_str(value)
            .map_err(|error| Failure::usage(format!("read --set {key}: {error}"), "write KEY=VALUE"))?;
        keys.insert(key.clone(), value);
    }
    let flags = [
        ("data", args.data.as_ref().map(|path| json!(path))),
        ("tokenizer", args.tokenizer.as_ref().map(|path| json!(path))),
        ("depth", args.depth.map(|depth| json!(depth))),
        ("steps", args.steps.map(|steps| json!(steps))),
        ("device", args.device.map(|device| json!(device))),
        ("fp8", args.fp8.then_some(json!(true))),
        ("deterministic", args.deterministic.then_some(json!(true))),
        ("on_nan", args.on_nan.as_ref().map(|what| json!(what))),
        ("profile", args.profile.then_some(json!(true))),
    ];
    keys.extend(flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let mut config: PretrainConfig = wootz_pipeline::settings(&tree)
        .map_err(|error| Failure::from(error).within(&format!("read {file}")))?;
    if let Some(threads) =
        super::threads(args.threads)?.filter(|_| args.threads.is_some() || config.threads == 0)
    {
        config.threads = threads;
    }
    config.device = args.ranks.device(config.device)?;
    if args.memory_budget.is_some() {
        config.memory_budget.clone_from(&args.memory_budget);
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    serde_yaml_ng::from_str(&text).map_err(|error| {
        let line = error.location().map_or_else(String::new, |at| format!(":{}", at.line()));
        Failure::usage(format!("read {}{line}: {error}", path.display()), "mend the YAML at that line")
    })
}

fn rows(summary: &TrainSummary, checkpoint: &Path) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("checkpoint", checkpoint.display().to_string()),
        ("sha256", summary.digest.clone()),
        ("parameters", human::count(summary.parameters)),
        ("steps", format!("{}, {} tokens", summary.steps, human::count(summary.tokens))),
        ("device", summary.backend.clone()),
        ("peak memory", human::bytes(summary.persistent_bytes + summary.arena_bytes)),
        ("speed", format!("{:.0} tok/s", summary.tokens_per_second)),
    ];
    rows.extend(summary.final_loss.map(|loss| ("last loss", format!("{loss:.4}"))));
    rows.extend(summary.final_bpb.map(|bpb| ("bits per byte", format!("{bpb:.4}"))));
    rows
}
