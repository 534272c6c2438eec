//! A job: the words that submit it, and the script that it runs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A process as a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Whose it is among all of all runs: `run/step.attempt`.
    pub mark: String,
    /// Folder of the job's own files, which all nodes see.
    pub files: PathBuf,
    /// Where the process starts.
    pub folder: PathBuf,
    /// The process; with more than one node it runs once on each.
    pub argv: Vec<String>,
    /// Nodes; 0: one, and no variables of ranks.
    pub nodes: u32,
    /// CPU cores of each node; 0: not said.
    pub cpus: u32,
    /// GPUs of each node.
    pub gpus: u32,
    /// Memory of each node, MiB.
    pub memory_mb: Option<u64>,
    /// Further words for `sbatch`: partition, account, time.
    pub arguments: Vec<String>,
}

/// The first of Slurm's programs that is not on `path` (the value of `PATH`).
pub fn missing(path: &OsStr) -> Option<&'static str> {
    let has = |name: &str| std::env::split_paths(path).any(|folder| folder.join(name).is_file());
    ["sbatch", "squeue", "scancel", "scontrol"].into_iter().find(|name| !has(name))
}

impl Job {
    pub(crate) fn script_path(&self) -> PathBuf {
        self.files.join("job.sh")
    }

    pub(crate) fn output(&self, stream: &str) -> PathBuf {
        self.files.join(stream)
    }

    /// Where the job says how it ended.
    pub(crate) fn exit(&self) -> PathBuf {
        self.files.join("exit")
    }

    /// Where the attendant keeps the job's number.
    pub(crate) fn number(&self) -> PathBuf {
        self.files.join("job")
    }

    /// The run and the step, with what stands before the number of the attempt.
    pub(crate) fn of_step(&self) -> &str {
        self.mark.rsplit_once('.').map_or(&self.mark, |(step, _)| &self.mark[..=step.len()])
    }

    /// The arguments of `sbatch`.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words =
            vec!["--parsable".to_owned(), "--requeue".to_owned(), "--open-mode=append".to_owned()];
        let mut flag = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        flag("job-name", &self.mark);
        flag("comment", &self.mark);
        flag("chdir", &self.folder.to_string_lossy());
        for (name, stream) in [("output", "stdout"), ("error", "stderr")] {
            // Slurm reads `%` in names of files; `\` turns that off.
            flag(name, &format!("{}", self.output(stream).display()).replace('%', "%%"));
        }
        flag("nodes", &self.nodes.max(1).to_string());
        flag("ntasks-per-node", "1");
        if self.cpus > 0 {
            flag("cpus-per-task", &self.cpus.to_string());
        }
        if self.gpus > 0 {
            flag("gres", &format!("gpu:{}", self.gpus));
        }
        if let Some(memory) = self.memory_mb {
            flag("mem", &format!("{memory}M"));
        }
        words.extend(self.arguments.iter().cloned());
        words.push(self.script_path().to_string_lossy().into_owned());
        words
    }

    /// The script: the process, and behind it its exit code in a file that is whole or not there.
    pub(crate) fn script(&self) -> String {
        let argv: Vec<String> = self.argv.iter().map(|word| quoted(word)).collect();
        let argv = argv.join(" ");
        let exit = quoted(&self.exit().to_string_lossy());
        // One process on each node, with the variables that torchrun's workers have.
        let run = if self.nodes > 1 {
            format!(
                "export MASTER_ADDR=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n 1)\n\
                 export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))\n\
                 export WORLD_SIZE=$SLURM_NTASKS LOCAL_WORLD_SIZE=1\n\
                 srun --mpi=none --kill-on-bad-exit=1 bash -c \
                 'export RANK=$SLURM_PROCID NODE_RANK=$SLURM_NODEID LOCAL_RANK=$SLURM_LOCALID; exec \"$@\"' - {argv}\n"
            )
        } else {
            format!("{argv}\n")
        };
        format!(
            "#!/bin/bash\n# Written by wootz.\nrm -f {exit}\n\
             [ \"${{SLURM_RESTART_COUNT:-0}}\" = 0 ] || echo \"slurm: begun anew on $SLURM_JOB_NODELIST\" >&2\n\
             {run}code=$?\n\
             echo $code >{exit}.new && sync {exit}.new && mv {exit}.new {exit}\n\
             exit $code\n"
        )
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Whether a path is below another that all nodes see cannot be told; that it is absolute can.
pub(crate) fn is_absolute(path: &Path) -> bool {
    path.is_absolute()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn job() -> Job {
        Job {
            mark: "r1/train.2".to_owned(),
            files: "/runs/r1/slurm/train.2".into(),
            folder: "/work".into(),
            argv: vec!["python".to_owned(), "a b.py".to_owned()],
            nodes: 2,
            cpus: 8,
            gpus: 4,
            memory_mb: Some(1000),
            arguments: vec!["--partition=gpu".to_owned()],
        }
    }

    #[test]
    fn the_words_are_exact() {
        let words = job().words().join(" ");
        let expected = "--parsable --requeue --open-mode=append --job-name=r1/train.2 --comment=r1/train.2 --chdir=/work \
            --output=/runs/r1/slurm/train.2/stdout --error=/runs/r1/slurm/train.2/stderr --nodes=2 --ntasks-per-node=1 --cpus-per-task=8 \
            --gres=gpu:4 --mem=1000M --partition=gpu /runs/r1/slurm/train.2/job.sh";
        assert_eq!(words, expected);
        assert_eq!(job().of_step(), "r1/train.");
        let plain = Job { nodes: 0, cpus: 0, gpus: 0, memory_mb: None, ..job() }.words().join(" ");
        assert!(plain.contains("--nodes=1") && !plain.contains("gres") && !plain.contains("mem"), "{plain}");
    }

    /// Whatever words a process has, it gets them as they are, and its exit code is in the file.
    #[test]
    fn a_shell_reads_the_words_back() {
        let folder = std::env::temp_dir().join(format!("wootz-slurm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for word in ["plain", "a b", "it's", "$HOME", "`x`", "", "ü\n\t\"", "*", "\\"] {
            let argv = ["sh", "-c", "printf %s \"$1\"; exit 7", "-", word].map(str::to_owned).to_vec();
            let job = Job { files: folder.clone(), nodes: 0, argv, ..job() };
            let ran = Command::new("bash").arg("-c").arg(job.script()).output().unwrap();
            assert_eq!((ran.status.code(), String::from_utf8(ran.stdout).unwrap().as_str()), (Some(7), word));
            assert_eq!(std::fs::read_to_string(job.exit()).unwrap(), "7\n");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
