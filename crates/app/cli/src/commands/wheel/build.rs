//! Wheels built from a configuration, and wheels tried.

use super::matrix::Which;
use crate::commands::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use wootz_container::{Kind, Mount, Runtime};
use wootz_schema::ExitCode;
use wootz_schema::progress::Progress;
use wootz_schema::wheel::{WheelBuild, WheelBuildStatus};
use wootz_wheels::build::{self, Launcher, Settings};
use wootz_wheels::{Variants, WheelName};

/// Where CUDA's compilers are.
const IMAGE: &str = "docker.io/nvidia/cuda:{cuda}-devel-ubuntu22.04";
/// Where only what runs is.
const RUNTIME_IMAGE: &str = "docker.io/nvidia/cuda:{cuda}-runtime-ubuntu22.04";

/// Build the wheels of a configuration, and import each where only the runtime is.
///
/// A cell is compiled from the package's source, in a container of the CUDA it is for, against torch from the index of that
/// CUDA. Its wheel is labelled with both, tried, and then put into --out; a wheel that is there is not built again. A cell that
/// fails does not stop the others. Each result is a line of OUT/results.jsonl too, and all that was said of a cell is in OUT/logs.
///
/// Exits with 1 when a cell failed.
#[derive(clap::Args)]
pub struct Build {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Place,
    /// Folder of the wheels.
    #[arg(long, value_name = "DIR", default_value = "wheels")]
    out: PathBuf,
    /// Print what would be run, exactly, and run nothing.
    #[arg(long)]
    dry_run: bool,
    /// Image in which wheels are built; `{cuda}` stands for the version of CUDA.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// Image in which wheels are tried.
    #[arg(long, value_name = "IMAGE", default_value = RUNTIME_IMAGE)]
    runtime_image: String,
    /// The folder above cu128 and its like in PyTorch's own index of wheels; needed by packages that are built against torch.
    #[arg(long, value_name = "URL")]
    torch_index: Option<String>,
    /// Compilers at once; each may take gigabytes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: u32,
    /// Folder of the compilers' cache, kept from build to build.
    #[arg(long, value_name = "DIR")]
    ccache: Option<PathBuf>,
    /// CUDA architectures, such as `8.0;9.0+PTX` [default: all that the version of CUDA and torch's own builds have].
    #[arg(long, value_name = "LIST")]
    archs: Option<String>,
    /// Leave the wheels' versions as they are, without cu128torch2.9 and its like.
    #[arg(long)]
    no_label: bool,
    /// Do not try the wheels.
    #[arg(long)]
    no_smoke: bool,
    /// Build wheels that are there, too.
    #[arg(long)]
    force: bool,
}

/// Import a wheel where only the runtime is.
///
/// The wheel is installed with all that it needs, and its module imported; exits with 1 where that fails.
#[derive(clap::Args)]
pub struct Smoke {
    /// The wheel.
    wheel: PathBuf,
    /// The module that is imported [default: the project's name].
    #[arg(long = "import", value_name = "NAME")]
    import: Option<String>,
    /// Version of Python [default: the one that the wheel's name says].
    #[arg(long, value_name = "VERSION")]
    python: Option<String>,
    /// Image in which it is tried; needed unless --launcher is local.
    #[arg(long, value_name = "IMAGE", default_value = "", hide_default_value = true)]
    image: String,
    #[command(flatten)]
    place: Place,
}

/// Where scripts run.
#[derive(clap::Args)]
struct Place {
    /// Where it runs: podman, docker, or local [default: podman, else docker].
    #[arg(long, value_name = "NAME", value_parser = ["podman", "docker", "local"])]
    launcher: Option<String>,
    /// Most memory of a container.
    #[arg(long, value_name = "SIZE", default_value = "6g")]
    memory: String,
    /// Network of a container, as podman and docker name it.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Index of packages [default: pip's own].
    #[arg(long, value_name = "URL")]
    index_url: Option<String>,
    /// A folder or file that containers see, at its own place or at another, unchanged; may be given more than once.
    #[arg(long, value_name = "PATH[:INSIDE]")]
    mount: Vec<String>,
}

impl Place {
    fn launcher(&self) -> Result<Launcher, Failure> {
        let kind = match self.launcher.as_deref() {
            Some("local") => return Ok(Launcher::Local),
            Some("docker") => Some(Kind::Docker),
            Some(_) => Some(Kind::Podman),
            None => None,
        };
        Ok(Launcher::Container(Runtime::find(kind, &environment::search_path())?))
    }

    fn settings(&self, out: &Path) -> Result<Settings, Failure> {
        let absolute = |path: &str| {
            let path = Path::new(path);
            path.canonicalize().map_err(|error| Failure::io("find", path, &error))
        };
        let mut mounts = Vec::new();
        for mount in &self.mount {
            let (outside, inside) = mount.split_once(':').unwrap_or((mount, mount));
            let outside = absolute(outside)?.display().to_string();
            mounts.push(Mount { outside, inside: inside.to_owned(), is_writable: false });
        }
        let pass = environment::of_pip();
        // Without its certificates pip reaches nothing.
        if let Some(certificates) = pass.get("PIP_CERT") {
            let (outside, inside) = (absolute(certificates)?.display().to_string(), certificates.clone());
            mounts.push(Mount { outside, inside, is_writable: false });
        }
        Ok(Settings {
            out: std::path::absolute(out).map_err(|error| Failure::io("find", out, &error))?,
            index: self.index_url.clone(),
            memory: Some(self.memory.clone()),
            network: self.network.clone(),
            pass,
            mounts,
            ..Settings::default()
        })
    }
}

/// Builds the wheels.
pub fn run(args: &Build, context: &Context) -> Result<Outcome, Failure> {
    let matrix = args.which.matrix()?;
    for (cell, reason) in &matrix.dropped {
        render::say(&format!("dropped: {}: {reason}\n", cell.told()));
    }
    let launcher = args.place.launcher()?;
    let settings =
        Settings {
            torch_index: args.torch_index.clone(),
            image: args.image.clone(),
            runtime_image: args.runtime_image.clone(),
            jobs: args.jobs,
            ccache: args.ccache.as_ref().map(std::path::absolute).transpose().map_err(|error| {
                Failure::io("find", args.ccache.as_deref().unwrap_or(Path::new("")), &error)
            })?,
            archs: args.archs.clone(),
            has_labels: !args.no_label,
            is_tried: !args.no_smoke,
            is_forced: args.force,
            ..args.place.settings(&args.out)?
        };
    if args.dry_run {
        return Ok(dry_run(&matrix.cells, &settings, &launcher));
    }
    let cancel = context.cancel()?;
    fs::create_dir_all(&settings.out).map_err(|error| Failure::io("create", &settings.out, &error))?;
    let results = settings.out.join("results.jsonl");
    let mut builds: Vec<WheelBuild> = Vec::new();
    for (at, cell) in matrix.cells.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let told = format!("{} of {}: {}", at + 1, matrix.cells.len(), cell.told());
        context.observe.observe(Progress::Message(&told));
        let result = build::build(cell, &settings, &launcher, &cancel);
        context.observe.observe(Progress::Message(&line(&result)));
        let file = OpenOptions::new().append(true).create(true).open(&results);
        let written = file.and_then(|mut file| {
            file.write_all(format!("{}\n", json!(result)).as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| Failure::io("write", &results, &error))?;
        builds.push(result);
    }
    let is_good =
        |result: &&WheelBuild| matches!(result.status, WheelBuildStatus::Built | WheelBuildStatus::Skipped);
    let good = builds.iter().filter(is_good).count();
    let mut text: String = builds.iter().map(|result| format!("{}\n", line(result))).collect();
    text.push_str(&format!("{good} of {} wheels are there\n", matrix.cells.len()));
    let exit = if good == matrix.cells.len() { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Outcome { text: text.into(), json: json!({ "builds": builds }), exit })
}

/// What would be run.
fn dry_run(cells: &[wootz_wheels::matrix::Cell], settings: &Settings, launcher: &Launcher) -> Outcome {
    let (mut text, mut json) = (String::new(), Vec::new());
    let mut exit = ExitCode::Ok;
    for cell in cells {
        match build::recipe(cell, settings, launcher) {
            Ok(recipe) => {
                for stage in std::iter::once(&recipe.build).chain(&recipe.smoke) {
                    let words = launcher.words(stage, &settings.out.join(".work").join(&stage.name));
                    let quoted: Vec<String> =
                        words.iter().map(|word| wootz_stations::report::quote(word)).collect();
                    text.push_str(&format!("# {}: {}\n{}\n", cell.told(), stage.what, quoted.join(" ")));
                    stage.script.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
                    json.push(json!({
                        "cell": cell.json(), "stage": stage.what, "argv": words, "env": stage.env, "script": stage.script,
                    }));
                }
            }
            Err(why) => {
                text.push_str(&format!("# {}: cannot be built: {why}\n", cell.told()));
                json.push(json!({ "cell": cell.json(), "error": why }));
                exit = ExitCode::Failed;
            }
        }
    }
    Outcome { text: text.into(), json: json!({ "stages": json }), exit }
}

/// A result for people.
fn line(result: &WheelBuild) -> String {
    let what = format!(
        "{} {}, Python {}, CUDA {}",
        result.package, result.package_version, result.python, result.cuda
    );
    let took = wootz_stdx::human::seconds(result.seconds);
    let wheel = result.wheel.as_deref().unwrap_or_default();
    let error = result.error.as_deref().unwrap_or_default();
    match result.status {
        WheelBuildStatus::Built => format!("built: {what} in {took}: {wheel}"),
        WheelBuildStatus::Skipped => format!("there: {what}: {wheel}"),
        WheelBuildStatus::Failed if result.log.is_empty() => format!("failed: {what}: {error}"),
        WheelBuildStatus::Failed => format!("failed: {what}: {error} (log: {})", result.log),
        WheelBuildStatus::SmokeFailed => format!("smoke test failed: {what}: {error} (log: {})", result.log),
    }
}

/// Tries a wheel.
pub fn smoke(args: &Smoke, context: &Context) -> Result<Outcome, Failure> {
    let launcher = args.place.launcher()?;
    if launcher.is_container() && args.image.is_empty() {
        return Err(Failure::usage(
            "try the wheel in a container: no image is named",
            "--image IMAGE, or --launcher local",
        ));
    }
    let file = args.wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = WheelName::parse(&file, Variants::Allowed)
        .map_err(|error| Failure::usage(format!("read the name {file}: {error}"), "name a wheel"))?;
    let import = args.import.clone().unwrap_or_else(|| name.project.replace('-', "_"));
    let of_name = name.python.iter().find_map(|tag| {
        let (major, minor) = tag.strip_prefix("cp")?.split_at_checked(1)?;
        (!minor.is_empty()).then(|| format!("{major}.{minor}"))
    });
    let Some(python) = args.python.clone().or(of_name) else {
        return Err(Failure::usage(
            "try the wheel: its name does not say for which Python",
            "--python VERSION",
        ));
    };
    let folder = std::env::temp_dir().join(format!("wootz-smoke-{}", std::process::id()));
    let settings = Settings { runtime_image: args.image.clone(), ..args.place.settings(&folder)? };
    let stage = build::smoke_alone(&python, &import, &settings, &launcher);
    let log = settings.out.join("log");
    let cancel = context.cancel()?;
    let tried = build::smoke(&args.wheel, &settings, &stage, &launcher, &log, &cancel);
    let said = fs::read_to_string(&log).unwrap_or_default();
    // What it said is printed; the folder is of no more use.
    let _ = fs::remove_dir_all(&settings.out);
    let json = json!({
        "version": 1, "wheel": file, "import": import, "python": python, "passed": tried.is_ok(), "error": tried.as_ref().err(),
    });
    Ok(match tried {
        Ok(()) => Outcome::ok(format!("{file}: {import} can be imported by Python {python}\n"), json),
        Err(why) => Outcome { text: format!("{said}{file}: {why}\n").into(), json, exit: ExitCode::Failed },
    })
}
