//! What runs in a container, and the exact words that ask for it.

use crate::runtime::Kind;
use std::collections::BTreeMap;

/// A process in an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// Name of the container; of two with one name the second is the first.
    pub name: String,
    /// What it is known by, beside its name.
    pub labels: BTreeMap<String, String>,
    /// The image.
    pub image: String,
    /// What is run in place of the image's own entry point.
    pub entrypoint: Option<String>,
    /// Its arguments.
    pub argv: Vec<String>,
    /// Variables whose values may stand on a command line.
    pub env: BTreeMap<String, String>,
    /// Variables that are taken from the caller by name: their values never stand on a command line.
    pub secrets: BTreeMap<String, String>,
    /// Folders and files of the machine that it sees.
    pub mounts: Vec<Mount>,
    /// Where it starts.
    pub folder: Option<String>,
    /// As whom, `UID:GID`.
    pub user: Option<String>,
    /// Whose numbers of users these are, as the runtime names it.
    pub user_namespace: Option<String>,
    /// Most memory, as the runtime reads it (`6g`); swap included.
    pub memory: Option<String>,
    /// CPU cores.
    pub cpus: Option<String>,
    /// Most processes at once.
    pub pids: Option<u32>,
    /// GPUs that it sees.
    pub gpus: Gpus,
    /// Its network, as the runtime names it.
    pub network: Option<String>,
    /// Inter-process communication, as the runtime names it.
    pub ipc: Option<String>,
    /// A process that reaps others stands before it.
    pub has_init: bool,
    /// It is spoken to, and by a terminal if that is what the caller has.
    pub talk: Talk,
    /// The platform of the image, where it is not the machine's.
    pub platform: Option<String>,
}

/// What a container's standard input is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Talk {
    /// Nothing.
    #[default]
    None,
    /// The caller's.
    Pipe,
    /// The caller's terminal.
    Terminal,
}

/// A folder or file of the machine inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its place on the machine, absolute.
    pub outside: String,
    /// Its place inside.
    pub inside: String,
    /// Whether it may be changed.
    pub is_writable: bool,
}

/// GPUs that a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gpus {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// These, as `CUDA_VISIBLE_DEVICES` names them.
    Only(Vec<String>),
}

impl Spec {
    /// The arguments with which the runtime creates it.
    pub fn create(&self, kind: Kind) -> Vec<String> {
        let mut words = vec!["create".to_owned()];
        let mut flag = |name: &str, value: &str| words.extend([format!("--{name}"), value.to_owned()]);
        flag("name", &self.name);
        for (key, value) in &self.labels {
            flag("label", &format!("{key}={value}"));
        }
        for (key, value) in &self.env {
            flag("env", &format!("{key}={value}"));
        }
        for key in self.secrets.keys() {
            flag("env", key);
        }
        for Mount { outside, inside, is_writable } in &self.mounts {
            let ending = if *is_writable { "" } else { ":ro" };
            flag("volume", &format!("{outside}:{inside}{ending}"));
        }
        let pids = self.pids.map(|pids| pids.to_string());
        let options = [
            ("workdir", &self.folder),
            ("user", &self.user),
            ("userns", &self.user_namespace),
            ("memory", &self.memory),
            ("memory-swap", &self.memory),
            ("cpus", &self.cpus),
            ("pids-limit", &pids),
            ("network", &self.network),
            ("ipc", &self.ipc),
            ("platform", &self.platform),
            ("entrypoint", &self.entrypoint),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        match (&self.gpus, kind) {
            (Gpus::None, _) => {}
            (Gpus::All, Kind::Docker) => flag("gpus", "all"),
            (Gpus::All, Kind::Podman) => flag("device", "nvidia.com/gpu=all"),
            // The quotes are docker's own: without them it takes the second name for another option.
            (Gpus::Only(names), Kind::Docker) => flag("gpus", &format!("\"device={}\"", names.join(","))),
            (Gpus::Only(names), Kind::Podman) => {
                names.iter().for_each(|name| flag("device", &format!("nvidia.com/gpu={name}")));
            }
        }
        let (talks, has_terminal) = (self.talk != Talk::None, self.talk == Talk::Terminal);
        let switches = [("--init", self.has_init), ("--interactive", talks), ("--tty", has_terminal)];
        words.extend(switches.iter().filter(|(_, is_on)| *is_on).map(|(word, _)| (*word).to_owned()));
        words.push(self.image.clone());
        words.extend(self.argv.iter().cloned());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_exact_and_hold_no_secret() {
        let text = |words: &[(&str, &str)]| -> BTreeMap<String, String> {
            words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let gpus = Gpus::Only(vec!["0".to_owned(), "2".to_owned()]);
        let spec = Spec {
            name: "r1-train.2".to_owned(),
            labels: text(&[("wootz.task", "r1/train.2")]),
            image: "img:1".to_owned(),
            argv: vec!["sh".to_owned(), "-c".to_owned(), "a b".to_owned()],
            env: text(&[("A", "1 2")]),
            secrets: text(&[("TOKEN", "hush")]),
            mounts: vec![Mount { outside: "/a".to_owned(), inside: "/b".to_owned(), is_writable: false }],
            memory: Some("6g".to_owned()),
            gpus,
            has_init: true,
            ..Spec::default()
        };
        let podman = spec.create(Kind::Podman).join(" ");
        let all = "create --name r1-train.2 --label wootz.task=r1/train.2 --env A=1 2 --env TOKEN --volume /a:/b:ro \
            --memory 6g --memory-swap 6g --device nvidia.com/gpu=0 --device nvidia.com/gpu=2 --init img:1 sh -c a b";
        assert_eq!(podman, all);
        let docker = spec.create(Kind::Docker);
        let at = docker.iter().position(|word| word == "--gpus").unwrap();
        assert_eq!(docker[at + 1], "\"device=0,2\"");
        assert!(!docker.concat().contains("hush"));
    }
}
