//! This process as one rank of a job: whose variables say so, whoever started it.

use crate::environment;
use crate::outcome::Failure;
use crate::render;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use wootz_mesh::{MeshError, Place, World};
use wootz_schema::ExitCode;

/// How long the work of this process has to end by itself when another rank has failed: a collective on a device may wait
/// for that rank without end.
const GRACE: Duration = Duration::from_secs(10);
/// How long ranks wait for one another where nothing else is said.
const PATIENCE_SECONDS: u64 = 300;

/// The place that the variables give this process, where it is a rank.
pub fn place() -> Result<Option<Place>, Failure> {
    Ok(Place::read(environment::text)?)
}

/// Joins the other ranks.
pub fn join(place: &Place) -> Result<World, Failure> {
    die_with_the_launcher()?;
    multicast_off(place)?;
    let seconds = match environment::RENDEZVOUS.get().map(|text| text.to_string_lossy().parse()) {
        None => PATIENCE_SECONDS,
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => {
            return Err(Failure::usage(
                format!("read {}: it is no number of seconds", environment::RENDEZVOUS.name),
                "set a whole number",
            ));
        }
    };
    let world = World::join(place, Duration::from_secs(seconds))?;
    world.on_failure(Box::new(|failure| {
        std::thread::sleep(GRACE);
        let failure = Failure::from(MeshError::Peer(failure.clone()));
        let code = failure.exit as i32;
        render::failure(&failure, std::env::args_os().any(|argument| argument == "--json"));
        std::process::exit(code);
    }));
    Ok(world)
}

/// Has the system kill this process when its launcher dies, also by a signal that cannot be caught.
fn die_with_the_launcher() -> Result<(), Failure> {
    let launcher = environment::LAUNCHER.get().and_then(|text| text.to_string_lossy().parse().ok());
    let Some(launcher) = launcher.and_then(Pid::from_raw) else { return Ok(()) };
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have died before the question: then this process has another parent by now.
    match asked.is_ok() && getppid() == Some(launcher) {
        true => Ok(()),
        false => Err(Failure {
            message: "start: the process that started this rank is gone".to_owned(),
            causes: Vec::new(),
            hint: None,
            exit: ExitCode::Environment,
        }),
    }
}

/// NCCL looks at its variables when it is loaded, and a running process cannot set its own safely: it becomes itself again,
/// with the variable set.
fn multicast_off(place: &Place) -> Result<(), Failure> {
    let (name, off) = wootz_stations::MULTICAST_OFF;
    if place.size == 1 || environment::text(name).is_some_and(|value| value == off) {
        return Ok(());
    }
    let again = |program| {
        let error = Command::new(program).args(std::env::args_os().skip(1)).env(name, off).exec();
        Failure::usage(
            format!("start with {name}={off}: {error}"),
            format!("set {name}={off} for every rank"),
        )
    };
    Err(match std::env::current_exe() {
        Ok(program) => again(program),
        Err(error) => Failure::usage(format!("find this program: {error}"), format!("set {name}={off}")),
    })
}
