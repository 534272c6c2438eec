//! `wootz babysit`: keeps a training run alive on a machine that can be taken away.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use wootz_babysit::{Action, Gcloud, Profile, Sitter, Trouble};
use wootz_schema::ExitCode;
use wootz_schema::babysit::{Phase, WatchLine};

/// How often it is looked whether somebody asks to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Keep a training run alive on a machine that can be taken away: look, start again what was cut off, until it is finished.
#[derive(clap::Args)]
pub struct Args {
    /// The profile, a YAML file (docs/babysit.md).
    profile: PathBuf,
    /// Look once, do what follows, and end.
    #[arg(long)]
    once: bool,
    /// Look once, and say what would follow; nothing is done or written down.
    #[arg(long)]
    dry_run: bool,
    /// Folder of state, log and lock [default: babysit in $WOOTZ_HOME, or in .wootz].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context, json: bool) -> Result<Outcome, Failure> {
    let text =
        std::fs::read_to_string(&args.profile).map_err(|error| Failure::io("read", &args.profile, &error))?;
    let profile = wootz_babysit::read(&args.profile.display().to_string(), &text)?;
    let cancel = context.cancel()?;
    let mut variables = environment::all();
    variables.retain(|name, _| profile.secrets.contains(name));
    let wrong = |Trouble(what)| {
        Failure::usage(
            format!("use the secrets of {}: {what}", args.profile.display()),
            "set the variable to one line",
        )
    };
    let mut provider = Gcloud::new(&profile, "gcloud".into(), variables, cancel.clone()).map_err(wrong)?;
    let folder = args.state.clone().unwrap_or_else(|| environment::home(None).join("babysit"));
    if args.dry_run {
        let steps = Sitter::rehearsal(&folder, &profile)?.rehearse(&mut provider);
        let text: String = steps.iter().map(|(event, action)| format!("{event}: would {action}\n")).collect();
        let steps: Vec<_> = steps
            .iter()
            .map(|(event, action)| json!({ "saw": event.to_string(), "action": action.to_string() }))
            .collect();
        return Ok(Outcome::ok(text, json!({ "profile": profile.name, "would": steps })));
    }
    let mut sitter = Sitter::open(&folder, &profile)?;
    let mut told = Vec::new();
    loop {
        let (lines, action) = sitter.round(&mut provider)?;
        if !json {
            tell(&lines);
        }
        // What is told as one object at the end is the last round: a long watch has its log.
        told = if lines.is_empty() { told } else { lines };
        if action == Action::End || args.once || cancel.load(Ordering::Relaxed) {
            break;
        }
        let until = Instant::now() + Duration::from_secs(profile.poll_seconds);
        while Instant::now() < until && !cancel.load(Ordering::Relaxed) {
            std::thread::sleep(GLANCE);
        }
        if cancel.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(ended(&profile, &sitter, &told))
}

fn tell(lines: &[WatchLine]) {
    let mut stdout = std::io::stdout().lock();
    for line in lines {
        // Who does not listen does not hinder the watch.
        let _ = writeln!(stdout, "{} {}: {}: {}", line.ts, line.profile, line.saw, line.action);
    }
    let _ = stdout.flush();
}

fn ended(profile: &Profile, sitter: &Sitter, lines: &[WatchLine]) -> Outcome {
    let watch = &sitter.watch;
    let (text, exit) = match watch.phase {
        Phase::Finished => (format!("{}: finished\n", profile.name), ExitCode::Ok),
        Phase::GaveUp => {
            let text = format!(
                "{}: gave up after too many failures; remove {} to begin again\n",
                profile.name,
                sitter.path().display()
            );
            (text, ExitCode::Failed)
        }
        _ => (String::new(), ExitCode::Ok),
    };
    Outcome { text: text.into_bytes(), json: json!({ "watch": watch, "lines": lines }), exit }
}
