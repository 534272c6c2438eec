//! A real server for a test, with a database in the test's folder.

use std::env;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The server; it ends with the value.
pub struct DevServer {
    process: Child,
    pub address: String,
}

impl DevServer {
    pub fn start(folder: &Path) -> DevServer {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        DevServer::on(folder, port)
    }

    /// Kills the server, and starts it again on the same database at the same address.
    pub fn again(self, folder: &Path) -> DevServer {
        let port = self.address.rsplit(':').next().unwrap().parse().unwrap();
        drop(self);
        DevServer::on(folder, port)
    }

    fn on(folder: &Path, port: u16) -> DevServer {
        let log = File::create(folder.join("server.log")).unwrap();
        let process = Command::new(program())
            .args(["server", "start-dev", "--ip", "127.0.0.1", "--headless", "--log-level", "error"])
            .args(["--port", &port.to_string(), "--db-filename"])
            .arg(folder.join("server.db"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        let mut server = DevServer { process, address };
        while TcpStream::connect(&server.address).is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "the server ended at once: {folder:?}");
            sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command line tool, where `dev/setup.sh test` leaves it or a person has it.
pub fn program() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.tools");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([tools]);
    let found = folders.find_map(|folder| Some(folder.join("temporal")).filter(|path| path.exists()));
    found.expect("the command `temporal`, which dev/setup.sh test installs")
}
