//! Plans whose processes are jobs of a real Slurm: two nodes on this machine, with GPUs that are nothing but names.

#![allow(clippy::unwrap_used, reason = "a cluster that cannot be set up has failed")]

use super::run::Folder;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A cluster of two nodes with four CPU cores and four GPUs each, which ends with the value.
struct Cluster {
    folder: TempDir,
    daemons: Vec<Child>,
}

/// Whether it can be had; where it cannot, a loud line.
#[allow(clippy::print_stderr, reason = "what was not tested is to be seen")]
fn is_installed() -> bool {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    let has = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    let missing: Vec<&str> =
        ["slurmctld", "slurmd", "munged", "sbatch"].into_iter().filter(|name| !has(name)).collect();
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: only root can make a cluster of one machine, so no job was run");
        return false;
    }
    if !missing.is_empty() {
        eprintln!(
            "NOT TESTED: {} is not installed, so no job was run; dev/setup.sh test installs it",
            missing.join(", ")
        );
    }
    missing.is_empty()
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["munge", "state", "n1", "n2", "dev"] {
            fs::create_dir(at(name)).unwrap();
        }
        for node in ["n1", "n2"] {
            for gpu in 0..4 {
                let device = at("dev").join(format!("{node}g{gpu}"));
                assert!(Command::new("mknod").arg(device).args(["c", "1", "3"]).status().unwrap().success());
            }
        }
        fs::write(at("munge/key"), [7_u8; 1024]).unwrap();
        fs::set_permissions(at("munge/key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut cluster = Cluster { folder, daemons: Vec::new() };
        cluster.configure();
        let path = |name: &str| cluster.folder.path().join(name).display().to_string();
        let mut munged = Command::new("munged");
        munged.args(["--foreground", "--num-threads=2"]);
        for (flag, file) in [
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("seed-file", "seed"),
            ("log-file", "log"),
        ] {
            munged.arg(format!("--{flag}={}", path(&format!("munge/{file}"))));
        }
        cluster.daemon(&mut munged, "munged");
        cluster.wait("munged answers", |cluster| cluster.folder.path().join("munge/socket").exists());
        let config = cluster.config();
        cluster.daemon(Command::new("slurmctld").arg("-f").arg(&config).args(["-D", "-c"]), "slurmctld");
        for node in ["n1", "n2"] {
            cluster.daemon(Command::new("slurmd").arg("-f").arg(&config).args(["-D", "-N", node]), node);
        }
        cluster.wait("both nodes are idle", |cluster| {
            cluster.said("sinfo", &["--noheader", "--format=%T %D"]).trim() == "idle 2"
        });
        cluster
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn configure(&self) {
        let ports: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = ports.iter().map(|port| port.local_addr().unwrap().port()).collect();
        let host = String::from_utf8(Command::new("hostname").arg("-s").output().unwrap().stdout).unwrap();
        let (host, folder) = (host.trim(), self.folder.path().display());
        let node = |name: &str, port: u16| {
            format!(
                "NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs=4 RealMemory=4000 Gres=gpu:h200:4\n"
            )
        };
        let text = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmUser=root\nSlurmdUser=root\n\
             AuthType=auth/munge\nAuthInfo=socket={folder}/munge/socket\nCryptoType=crypto/munge\n\
             StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/%n\n\
             SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/%n.pid\n\
             SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/%n.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\nJobAcctGatherType=jobacct_gather/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nSlurmdParameters=config_overrides\n\
             GresTypes=gpu\nReturnToService=2\nKillWait=3\nSlurmdTimeout=60\nSchedulerParameters=sched_interval=1,batch_sched_delay=0\n\
             {}{}PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
            ports[0],
            node("n1", ports[1]),
            node("n2", ports[2]),
        );
        fs::write(self.config(), text).unwrap();
        let gpus = ["n1", "n2"]
            .map(|node| format!("NodeName={node} Name=gpu Type=h200 File={folder}/dev/{node}g[0-3]\n"));
        fs::write(self.folder.path().join("gres.conf"), gpus.concat()).unwrap();
    }

    fn daemon(&mut self, command: &mut Command, name: &str) {
        let log = fs::File::create(self.folder.path().join(format!("{name}.out"))).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        command.env("PATH", path).env("SLURM_CONF", self.config()).stdin(Stdio::null());
        self.daemons.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// What one of Slurm's programs says.
    fn said(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).env("SLURM_CONF", self.config()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Jobs that are not over: number, state, comment.
    fn jobs(&self) -> Vec<[String; 3]> {
        let lines = self.said("squeue", &["--noheader", "--format=%A|%T|%k"]);
        let job = |line: &str| {
            let words: Vec<String> = line.split('|').map(str::to_owned).collect();
            <[String; 3]>::try_from(words).unwrap()
        };
        lines.lines().map(job).collect()
    }

    fn wait(&self, what: &str, until: impl Fn(&Cluster) -> bool) {
        let begun = Instant::now();
        while !until(self) {
            if begun.elapsed() > Duration::from_secs(60) {
                let log = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
                let logs =
                    ["munged.out", "slurmctld.log", "n1.log", "slurmctld.out", "n1.out"].map(log).concat();
                panic!("{what}: not within a minute\n{}\n{logs}", self.said("squeue", &[]));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// `wootz run` with Slurm, begun.
    fn run(&self, folder: &Folder, args: &[&str]) -> Child {
        let mut command = folder.command(&[&["run"], args].concat());
        command.env("SLURM_CONF", self.config()).spawn().unwrap()
    }

    fn ran(&self, folder: &Folder, args: &[&str]) -> Output {
        self.run(folder, args).wait_with_output().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs first: their processes belong to nobody once the daemons are gone.
        let numbers: Vec<String> = self.jobs().into_iter().map(|[number, ..]| number).collect();
        if !numbers.is_empty() {
            let mut cancel = Command::new("scancel");
            let _ = cancel.args(&numbers).env("SLURM_CONF", self.config()).status();
            let begun = Instant::now();
            while !self.jobs().is_empty() && begun.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(100));
            }
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

const SLURM: [&str; 2] = ["--launcher", "slurm"];

fn step(id: &str, script: &str, more: &str) -> String {
    format!("- {{id: {id}, type: command, command: bash, args: [\"-c\", {script:?}]{more}}}\n")
}

fn plan(steps: &[String]) -> Folder {
    Folder::new(&format!("name: jobs\nsteps:\n{}", steps.concat()))
}

/// What a step's process said in an attempt.
fn stdout(folder: &Folder, step: &str) -> String {
    let logs = folder.of_run().join("logs");
    let ending = format!("_{step}_stdout.log");
    let name = fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path());
    let name = name.into_iter().find(|path| path.to_str().unwrap().ends_with(&ending)).unwrap();
    fs::read_to_string(name).unwrap()
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} does not come", path.display());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_gang_gets_its_nodes_and_gpus_and_ends_are_told() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let gang = "echo rank $RANK of $WORLD_SIZE on $SLURMD_NODENAME, gpus $CUDA_VISIBLE_DEVICES, master $MASTER_ADDR:$MASTER_PORT, \
        node $NODE_RANK, local $LOCAL_RANK of $LOCAL_WORLD_SIZE; echo made $WOOTZ_STEP > $WOOTZ_OUTPUT/from-$RANK";
    let folder = plan(&[
        step("gang", gang, ", resources: {nodes: 2, gpus: 2, cpus: 1, memory: 100MB}"),
        step(
            "one",
            "echo $SLURM_JOB_NUM_NODES ${CUDA_VISIBLE_DEVICES:-none} \"it's $0\"; pwd; exit 0",
            ", depends_on: [gang]",
        ),
        step("bad", "echo so bad >&2; exit 7", ", depends_on: [one]"),
    ]);
    let output =
        cluster.ran(&folder, &[&["plan.yaml"], &SLURM[..], &["--slurm-arg=--partition=all"]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("bad: failed: exit code 7"), "{told}");

    let said = stdout(&folder, "gang");
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    let port = lines[0].split("n1:").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let expected = |rank: u32| {
        format!("rank {rank} of 2 on n{0}, gpus 0,1, master n1:{port}, node {rank}, local 0 of 1", rank + 1)
    };
    assert_eq!(lines, [expected(0), expected(1)]);
    let here = folder.path().canonicalize().unwrap();
    assert_eq!(stdout(&folder, "one"), format!("1 none it's bash\n{}\n", here.display()));
    let ended = folder.events();
    let failed = ended.iter().find(|event| event["kind"] == "failed").unwrap();
    assert_eq!((&failed["step"], &failed["failure"]["code"]), (&"bad".into(), &7.into()));
    assert!(cluster.jobs().is_empty());
}

#[test]
fn a_job_whose_node_fails_is_begun_anew_and_followed() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let effects = folder.path().join("effects").display().to_string();
    let script = format!(
        "echo begun ${{SLURM_RESTART_COUNT:-0}} >> {effects}; [ ${{SLURM_RESTART_COUNT:-0}} = 1 ] || sleep 600; echo done"
    );
    let folder = plan(&[step("long", &script, "")]);
    let run = cluster.run(&folder, &[&["plan.yaml"], &SLURM[..]].concat());
    wait_for(Path::new(&effects));
    let [number, ..] = cluster.jobs().remove(0);
    let node = cluster.said("squeue", &["--noheader", "--format=%N"]);
    cluster.said("scontrol", &["update", &format!("nodename={}", node.trim()), "state=down", "reason=test"]);
    cluster.wait("the job waits to begin anew", |cluster| {
        cluster.jobs().iter().any(|[_, state, _]| state == "PENDING")
    });
    cluster.said("scontrol", &["update", &format!("nodename={}", node.trim()), "state=resume"]);
    // Slurm lets a job wait two minutes that lost its node.
    cluster.said("scontrol", &["update", &format!("jobid={number}"), "starttime=now"]);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&effects).unwrap(), "begun 0\nbegun 1\n");
    assert_eq!(stdout(&folder, "long"), "done\n");
    let logs = fs::read_dir(folder.of_run().join("logs")).unwrap().map(|entry| entry.unwrap().path());
    let stderr = logs.into_iter().find(|path| path.to_str().unwrap().ends_with("_long_stderr.log")).unwrap();
    let told = fs::read_to_string(stderr).unwrap();
    assert!(
        told.contains(&format!("slurm: submitted job {number}")) && told.contains("slurm: begun anew on n"),
        "{told}"
    );
}

#[test]
fn a_cancelled_run_leaves_no_job() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let folder = plan(&[
        step("long", "touch begun; sleep 600", ""),
        step("never", "touch never", ", depends_on: [long]"),
    ]);
    let run = cluster.run(&folder, &[&["plan.yaml"], &SLURM[..]].concat());
    wait_for(&folder.path().join("begun"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::INT)
        .unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(!output.status.success());
    cluster.wait("the job is gone", |cluster| cluster.jobs().is_empty());
    assert!(!folder.path().join("never").exists());
}

#[test]
fn an_engine_that_was_killed_goes_on_with_its_job() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let folder = plan(&[
        step("long", "echo begun; echo x >> effects; while [ ! -e go ]; do sleep 0.1; done; echo done", ""),
        step("after", "echo after", ", depends_on: [long]"),
    ]);
    let mut run = cluster.run(&folder, &[&["plan.yaml"], &SLURM[..]].concat());
    wait_for(&folder.path().join("effects"));
    run.kill().unwrap();
    let mut rest = String::new();
    run.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    run.wait().unwrap();
    let before = cluster.jobs();
    assert_eq!(before.len(), 1);
    let resumed = cluster.run(&folder, &["--resume", "latest"]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(cluster.jobs(), before, "nothing else was submitted");
    fs::write(folder.path().join("go"), "").unwrap();
    let output = resumed.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("effects")).unwrap(), "x\n");
    assert_eq!(stdout(&folder, "long"), "begun\ndone\n");
    assert_eq!(stdout(&folder, "after"), "after\n");
}

#[test]
fn an_attendant_finds_its_job_and_ends_those_of_earlier_attempts() {
    if !is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let attend = |attempt: u32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.arg("attend").arg(format!("--mark=r1/s.{attempt}"));
        command.arg(format!("--files={}", folder.path().join(format!("files-{attempt}")).display()));
        command.args([
            "--",
            "bash",
            "-c",
            "echo a >> effects; echo out; while [ ! -e go ]; do sleep 0.1; done; exit 5",
        ]);
        command.current_dir(folder.path()).env("SLURM_CONF", cluster.config());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut first = attend(1);
    wait_for(&folder.path().join("effects"));
    first.kill().unwrap();
    first.wait().unwrap();
    // As if it had been killed before it could write down what it had submitted.
    fs::remove_file(folder.path().join("files-1/job")).unwrap();
    let before = cluster.jobs();
    let again = attend(1);
    wait_for(&folder.path().join("files-1/job"));
    assert_eq!((cluster.jobs(), before.len()), (before.clone(), 1));
    // The next attempt does not work beside it.
    let next = attend(2);
    wait_for(&folder.path().join("files-2/job"));
    let lost = again.wait_with_output().unwrap();
    let told = String::from_utf8(lost.stderr).unwrap();
    assert!(lost.status.code() == Some(75) && told.contains("cancelled the job"), "{told}");
    cluster.wait("the next attempt runs alone", |cluster| {
        let jobs = cluster.jobs();
        jobs.len() == 1 && jobs[0][1] == "RUNNING" && jobs[0][2] == "r1/s.2"
    });
    fs::write(folder.path().join("go"), "").unwrap();
    let ended = next.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(5), &b"out\n"[..]));
    assert_eq!(fs::read_to_string(folder.path().join("effects")).unwrap(), "a\na\n");
    // Whoever asks once more is told the same, and no job is submitted.
    let once_more = attend(2).wait_with_output().unwrap();
    assert_eq!((once_more.status.code(), once_more.stdout.as_slice()), (Some(5), &b"out\n"[..]));
    assert!(cluster.jobs().is_empty());
}

#[test]
fn without_slurm_one_error_names_the_package() {
    let folder = plan(&[step("one", "true", "")]);
    let mut command = folder.command(&["run", "plan.yaml", "--launcher", "slurm"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("find sbatch: it is not installed") && told.contains("slurm-client"), "{told}");
    assert!(!folder.path().join(".wootz/runs").exists());
    let output = folder.command(&["run", "plan.yaml", "--slurm-arg=--time=1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
