//! Which wheel fits this machine, or one that is described.

use super::{Ended, files_of};
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use wootz_schema::ExitCode;
use wootz_wheels::choose::{Choice, Machine, choose};
use wootz_wheels::pages::{href, label_of};
use wootz_wheels::{Cuda, Label, Minor};

/// Say which wheel fits a machine, with the lines that install it; exits with 1 where none does, and says why.
///
/// What is not given is asked of the `python3` on the path: its version, its torch and the CUDA of that.
#[derive(clap::Args)]
pub struct Which {
    /// The project.
    #[arg(long, value_name = "NAME")]
    package: String,
    /// Version of torch, as 2.9.
    #[arg(long, value_name = "X.Y", value_parser = torch)]
    torch: Option<Minor>,
    /// Version of CUDA, as 12.8.
    #[arg(long, value_name = "X.Y", value_parser = cuda)]
    cuda: Option<Cuda>,
    /// Version of Python, as 3.12, or 3.13t without the lock.
    #[arg(long, value_name = "X.Y", value_parser = python)]
    python: Option<(u32, u32, bool)>,
    /// As linux_x86_64, linux_aarch64, win_amd64; default: this machine's.
    #[arg(long, value_name = "TAG")]
    platform: Option<String>,
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// The folder of the index, where no catalogue is given.
    #[arg(long, value_name = "DIR", default_value = "index/simple")]
    dir: PathBuf,
}

pub fn which(args: &Which) -> Result<Outcome, Ended> {
    let entries = files_of(&args.package, args.catalogue.as_ref(), &args.dir)?;
    let machine = machine(args);
    let choice = choose(&entries, &machine);
    let Some(best) = choice.best else { return Err(none(args, &machine, &choice).into()) };
    let (url, label) = (href(&best.line.url), label_of(best));
    let built =
        [label.cuda.map(|cuda| format!("CUDA {cuda}")), label.torch.map(|torch| format!("torch {torch}"))];
    let built: Vec<String> = built.into_iter().flatten().collect();
    let why = if built.is_empty() { String::new() } else { format!(" for {}", built.join(" and ")) };
    let text = format!(
        "{url}\n{} {}{why}; {} other file(s) would do\npip install \"{url}\"\nuv pip install \"{url}\"\n",
        best.name.project, best.name.version, choice.others
    );
    let json = json!({
        "url": url, "filename": best.line.filename, "sha256": best.line.sha256, "others": choice.others,
        "pip": format!("pip install \"{url}\""), "uv": format!("uv pip install \"{url}\""),
    });
    Ok(Outcome::ok(text, json))
}

fn none(args: &Which, machine: &Machine, choice: &Choice<'_>) -> Failure {
    let causes = choice.reasons.iter().map(|(reason, count)| format!("{count} file(s) are {reason}"));
    let mut asked = Vec::new();
    asked.extend(
        machine
            .python
            .map(|(major, minor, free)| format!("Python {major}.{minor}{}", if free { "t" } else { "" })),
    );
    asked.extend(machine.torch.map(|torch| format!("torch {torch}")));
    asked.extend(machine.cuda.map(|cuda| format!("CUDA {cuda}")));
    asked.extend(machine.platform.clone());
    Failure {
        message: format!("find a wheel of {} for {}", args.package, asked.join(", ")),
        causes: causes.collect(),
        hint: Some("ask for another machine, or build the wheel".to_owned()),
        exit: ExitCode::Failed,
    }
}

fn machine(args: &Which) -> Machine {
    let is_whole = args.torch.is_some() && args.cuda.is_some() && args.python.is_some();
    let (python, torch, cuda) = if is_whole { Default::default() } else { installed() };
    let own = format!("{}_{}", std::env::consts::OS, std::env::consts::ARCH);
    let is_own = args.platform.as_ref().is_none_or(|platform| *platform == own);
    Machine {
        torch: args.torch.or(torch),
        cuda: args.cuda.or(cuda),
        python: args.python.or(python),
        platform: Some(args.platform.clone().unwrap_or(own)),
        glibc: if is_own { glibc() } else { None },
    }
}

type Installed = (Option<(u32, u32, bool)>, Option<Minor>, Option<Cuda>);

/// What the first Python of the path has; torch's own local version names its CUDA.
fn installed() -> Installed {
    const ASK: &str = "import sys, sysconfig, importlib.metadata as m\n\
        print(f'{sys.version_info[0]}.{sys.version_info[1]}' + ('t' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''))\n\
        try: print(m.version('torch'))\nexcept m.PackageNotFoundError: pass";
    let Ok(output) = Command::new("python3").args(["-c", ASK]).output() else { return Installed::default() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let of_python = lines.next().and_then(|line| python(line).ok());
    let of_torch = lines.next().unwrap_or_default();
    let (version, local) = of_torch.split_once('+').unwrap_or((of_torch, ""));
    (of_python, torch(version).ok(), Label::read(local).cuda)
}

/// The minor version of this system's glibc.
fn glibc() -> Option<u32> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().rsplit_once('.')?.1.parse().ok()
}

fn torch(text: &str) -> Result<Minor, String> {
    match version(text)? {
        (major, Some(minor)) => Ok(Minor { major, minor }),
        _ => Err(format!("{text:?} is no version of torch, as 2.9 is")),
    }
}

fn cuda(text: &str) -> Result<Cuda, String> {
    version(text).map(|(major, minor)| Cuda { major, minor })
}

fn version(text: &str) -> Result<(u32, Option<u32>), String> {
    let mut parts = text.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), None) => Ok((major, None)),
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, Some(minor))),
        _ => Err(format!("{text:?} is no version, as 2.9 is")),
    }
}

fn python(text: &str) -> Result<(u32, u32, bool), String> {
    let (number, is_free) = text.strip_suffix('t').map_or((text, false), |number| (number, true));
    match version(number)? {
        (major, Some(minor)) => Ok((major, minor, is_free)),
        _ => Err(format!("{text:?} is no version of Python, as 3.12 is")),
    }
}
