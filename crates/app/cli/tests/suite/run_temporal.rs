//! `wootz worker` and `wootz run --engine temporal`: with a real server where the build can, and what is said where it cannot.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use super::run::Folder;

#[cfg(not(feature = "temporal"))]
#[test]
fn a_build_without_it_says_how_to_get_it() {
    let folder = Folder::new("name: p\nsteps:\n- {id: a, type: command, command: \"true\"}\n");
    for args in [&["worker"][..], &["run", "plan.yaml", "--engine", "temporal"]] {
        let output = folder.command(args).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("this build cannot") && told.contains("--features temporal"), "{told}");
    }
}

/// Of the commands themselves: the worker is killed while a process goes on, and who follows, too.
#[cfg(feature = "temporal")]
mod with_a_server {
    use super::Folder;
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    struct Server(Child, String);

    impl Server {
        fn start(folder: &Path) -> Server {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools/temporal");
            let mut command = Command::new(if tools.exists() { tools } else { "temporal".into() });
            command.args(["server", "start-dev", "--ip", "127.0.0.1", "--headless", "--log-level", "error"]);
            command.args(["--port", &port.to_string(), "--db-filename"]).arg(folder.join("server.db"));
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                sleep(Duration::from_millis(50));
            }
            Server(child, format!("127.0.0.1:{port}"))
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_run_outlives_its_worker_and_who_follows_it() {
        let folder = Folder::new(
            "name: p\nsteps:\n\
             - {id: a, type: command, command: sh, args: [\"-c\", \"echo a >> effects; while [ ! -e go ]; do sleep 0.1; done; echo done\"]}\n\
             - {id: b, type: command, command: sh, args: [\"-c\", \"echo b >> effects\"], depends_on: [a]}\n",
        );
        let server = Server::start(folder.path());
        let start = |args: &[&str]| {
            let mut command = folder.command(args);
            command
                .env("TEMPORAL_ADDRESS", &server.1)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let kill = |mut child: Child| {
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let (worker, run) = (start(&["worker"]), start(&["run", "plan.yaml", "--engine", "temporal"]));
        while !folder.path().join("effects").exists() {
            sleep(Duration::from_millis(50));
        }
        kill(worker);
        kill(run);
        let worker = start(&["worker"]);
        let resumed = start(&["run", "--resume", "latest"]);
        sleep(Duration::from_secs(1));
        fs::write(folder.path().join("go"), "").unwrap();
        let output = resumed.wait_with_output().unwrap();
        kill(worker);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(folder.path().join("effects")).unwrap(), "a\nb\n");
        let listed = folder.run(&["runs", "show", "latest"]);
        assert!(listed.contains("succeeded"), "{listed}");
    }
}
