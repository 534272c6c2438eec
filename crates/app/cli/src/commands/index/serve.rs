//! An index over HTTP on this machine.

use crate::commands::Context;
use crate::outcome::{Failure, Outcome};
use crate::render;
use std::net::TcpListener;
use std::path::PathBuf;
use wootz_schema::ExitCode;
use wootz_wheels::serve::{Site, Visit, serve as answer};

/// Serve an index: `/simple/` in HTML or JSON as the client asks, `/cu128/simple/` and the like beside it, and a page for people at `/`.
///
/// Each request is a line on stderr. Ends when it is interrupted.
#[derive(clap::Args)]
pub struct Serve {
    /// The folder of the index.
    #[arg(long, value_name = "DIR", default_value = "index/simple")]
    dir: PathBuf,
    /// The port; 0 is any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address; others than this machine can ask when it is 0.0.0.0.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Folder of wheels, served at `/wheels/` with the metadata of each.
    #[arg(long, value_name = "DIR")]
    wheels_dir: Option<PathBuf>,
}

pub fn serve(args: &Serve, _: &Context) -> Result<(Outcome, Vec<String>), Failure> {
    if !args.dir.is_dir() {
        let message = format!("serve {}: there is no such folder", args.dir.display());
        return Err(Failure::usage(message, "make it with `wootz index build`"));
    }
    let failed = |error: std::io::Error| Failure {
        message: format!("listen on {}:{}: {error}", args.host, args.port),
        causes: Vec::new(),
        hint: Some("choose another port with --port, or any with --port 0".to_owned()),
        exit: ExitCode::Environment,
    };
    let listener = TcpListener::bind((args.host.as_str(), args.port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    render::show(&format!("http://{address}/simple/\n"));
    let site = Site { index: args.dir.clone(), wheels: args.wheels_dir.clone() };
    let log = |visit: Visit| render::say(&format!("{} {} {}\n", visit.status, visit.method, visit.path));
    answer(listener, site, log).map_err(failed)?;
    Ok((Outcome::ok("", serde_json::Value::Null), Vec::new()))
}
