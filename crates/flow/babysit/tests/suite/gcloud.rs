//! The cloud's tool, made up: it writes down its arguments, and what is to be run on the machine it runs here, in a folder that stands for the
//! machine's home. So the scripts and the machine's lock are the real ones.

#![allow(clippy::unwrap_used, reason = "a tool that cannot be made has failed")]

use crate::PROFILE;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wootz_babysit::{Gcloud, Provider, Sight, read};

const TOOL: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
for word do printf '%s\n' "$word"; done >> args
case "$*" in
*" describe "*) [ ! -e error ] || { cat error >&2; exit 1; }; cat state ;;
*" create "*) echo READY > state ;;
*" delete "*) rm state ;;
*" ssh "*)
    [ ! -e ssh-fails ] || { echo 'Connection refused' >&2; exit 255; }
    for word do script=${word#--command=}; done
    env -u SECRET_KEY HOME="$PWD/home" sh -c "$script" ;;
*" ls "*) [ ! -e error ] || { cat error >&2; exit 1; }; echo gs://bucket/run/model_000100.pt ;;
esac
"#;

const TRAIN: &str = r#"#!/bin/sh
echo begin >> effects
printf '%s\0' "$@" > argv
echo "$SECRET_KEY" > secret
while [ ! -e stop ]; do sleep 0.02; done
exit "$(cat stop)"
"#;

struct Cloud {
    folder: TempDir,
}

impl Cloud {
    fn new() -> Cloud {
        let cloud = Cloud { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(cloud.path("home/code")).unwrap();
        for (name, text) in [("gcloud", TOOL), ("home/code/train", TRAIN)] {
            fs::write(cloud.path(name), text).unwrap();
            fs::set_permissions(cloud.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(cloud.path("state"), "READY\n").unwrap();
        cloud
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn provider(&self) -> Gcloud {
        let secrets = BTreeMap::from([("SECRET_KEY".to_owned(), "s3cret $x 'q'".to_owned())]);
        let profile = read("p.yaml", &format!("{PROFILE}setup: echo setup >> ~/effects\n")).unwrap();
        Gcloud::new(&profile, self.path("gcloud").into(), secrets, Arc::new(AtomicBool::new(false))).unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn wait(&self, name: &str) -> String {
        let begun = Instant::now();
        while self.text(name).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} never came");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.text(name)
    }

    /// Lets the run end, and waits until that is seen.
    fn end(&self, code: &str) -> Sight {
        fs::write(self.path("home/code/stop"), code).unwrap();
        let begun = Instant::now();
        loop {
            let saw = self.provider().look();
            if saw != Sight::Running {
                fs::remove_file(self.path("home/code/stop")).unwrap();
                return saw;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never ended");
        }
    }
}

#[test]
fn a_run_is_started_once_and_its_end_is_seen() {
    let cloud = Cloud::new();
    let mut provider = cloud.provider();
    assert_eq!(provider.look(), Sight::Idle);
    provider.launch(Some(1200)).unwrap();
    assert_eq!(provider.look(), Sight::Running);
    // Whoever is wrong about that is refused by the machine.
    assert!(provider.launch(None).is_err());
    assert_eq!(cloud.wait("home/code/secret"), "s3cret $x 'q'\n");
    let argv = cloud.text("home/code/argv");
    assert_eq!(argv.split_terminator('\0').collect::<Vec<_>>(), ["a b", "it's", "--resume_from_step=1200"]);
    assert_eq!(cloud.end("3\n"), Sight::Crashed(3));
    provider.launch(None).unwrap();
    assert_eq!(cloud.end("0\n"), Sight::Finished);
    assert_eq!(cloud.text("home/code/effects"), "begin\nbegin\n");
    assert_eq!(cloud.text("home/effects"), "setup\n");
    assert!(!cloud.text("args").contains("s3cret"));
}

#[test]
fn a_machine_is_asked_for_with_all_that_the_profile_says() {
    let cloud = Cloud::new();
    let mut provider = cloud.provider();
    provider.create().unwrap();
    provider.remove().unwrap();
    let place = "compute tpus tpu-vm VERB tpu-1 --zone zone-b";
    let expected = [
        &place.replace("VERB", "create"),
        "--accelerator-type=v6e-4 --version=v2-alpha --quiet --spot",
        &place.replace("VERB", "delete"),
        "--quiet",
    ];
    assert_eq!(cloud.text("args").lines().collect::<Vec<_>>().join(" "), expected.join(" "));
}

#[test]
fn what_cannot_be_told_is_not_idle() {
    let cloud = Cloud::new();
    let look = |state: &str| {
        fs::write(cloud.path("state"), state).unwrap();
        cloud.provider().look()
    };
    assert_eq!(look("PREEMPTED\n"), Sight::Preempted);
    assert_eq!(look("TERMINATED\n"), Sight::Preempted);
    assert_eq!(look("CREATING\n"), Sight::Pending);
    assert!(matches!(look("NEW_WORD\n"), Sight::Unknown(_)));
    assert!(matches!(look(""), Sight::Unknown(_)));
    assert_eq!(look("READY\n"), Sight::Idle);
    fs::write(cloud.path("ssh-fails"), "").unwrap();
    assert!(matches!(look("READY\n"), Sight::Unknown(why) if why.contains("Connection refused")));
    let error = |text: &str| {
        fs::write(cloud.path("error"), text).unwrap();
        (cloud.provider().look(), cloud.provider().checkpoints())
    };
    assert_eq!(error("ERROR: NOT_FOUND: no such machine").0, Sight::NoMachine);
    let (saw, listed) = error("ERROR: token expired");
    assert!(matches!(saw, Sight::Unknown(_)) && listed.is_err());
    assert_eq!(error("One or more URLs matched no objects.").1, Ok(Vec::new()));
}

#[test]
fn secrets_that_are_not_there_are_told_before_anything_is_done() {
    let profile = read("p.yaml", PROFILE).unwrap();
    let made = |value: Option<&str>| {
        let secrets = value.map(|value| ("SECRET_KEY".to_owned(), value.to_owned())).into_iter().collect();
        Gcloud::new(&profile, "gcloud".into(), secrets, Arc::new(AtomicBool::new(false))).is_ok()
    };
    assert!(made(Some("x")) && !made(None) && !made(Some("a\nb")));
}
