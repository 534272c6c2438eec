//! A saver killed at any moment: what has a step's name is whole, and what is not is swept.

use crate::{in_file_order, snapshot};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wootz_checkpoint::{Retention, Saver, Scope, load_latest, newest_step_folder};

/// Tells this test's second process where to save until it is killed.
const FOLDER: &str = "WOOTZ_TEST_SAVE_UNTIL_KILLED";
const KILLS: u64 = 15;

fn saver(folder: &Path) -> Saver {
    Saver::new(folder, Retention { keep_last: NonZeroUsize::MIN, keep_every: None }).unwrap()
}

fn latest_step(folder: &Path) -> u64 {
    let latest = load_latest(folder, Scope::Everything).unwrap();
    assert!(latest.skipped.is_empty(), "{:?}", latest.skipped);
    latest.loaded.map_or(0, |loaded| {
        let step = loaded.snapshot.state.step;
        assert_eq!(loaded.snapshot, in_file_order(snapshot(step)));
        step
    })
}

fn save_until_killed(folder: &Path) -> ! {
    let mut saver = saver(folder);
    let mut step = latest_step(folder);
    loop {
        step += 1;
        saver.save(snapshot(step)).unwrap();
    }
}

#[test]
fn a_killed_saver_leaves_the_newest_whole_checkpoint() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        save_until_killed(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut steps = vec![0];
    for kill in 0..KILLS {
        let newest = newest_step_folder(dir.path()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "suite::killed::a_killed_saver_leaves_the_newest_whole_checkpoint"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while newest_step_folder(dir.path()).unwrap() <= newest {
            assert!(child.try_wait().unwrap().is_none(), "the process saves until it is killed");
            std::thread::sleep(Duration::from_millis(1));
        }
        // An odd time after its first save spreads the kills over the parts of the next ones.
        std::thread::sleep(Duration::from_micros(733 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        steps.push(latest_step(dir.path()));
    }
    assert!(
        steps.is_sorted_by(|a, b| a < b),
        "every process goes on where the one before was killed: {steps:?}"
    );

    let mut saver = saver(dir.path());
    saver.save(snapshot(steps[steps.len() - 1] + 1)).unwrap();
    saver.finish().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written is left");
}
