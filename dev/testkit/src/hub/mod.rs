//! A fake model hub on the loopback: enough of Hugging Face's interface for its own client to download with, and what goes wrong there.
//!
//! Models and data sets are maps of paths to contents, which may be generated, so that a large file takes no memory. What is stored
//! apart (LFS) can be redirected to another host. Beside repositories it serves plain files, under `/files/`. Every request is logged.
//! The routes and headers are those that huggingface_hub 2.4 uses; Xet storage is left out, so that clients use plain HTTP.

mod content;
mod world;

pub use content::Content;
pub use world::{Access, Asked, Fault, Repo, World};

use axum::Router;
use axum::http::{HeaderMap, Method, Uri};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// A token that may read everything.
pub const TOKEN: &str = "hf_s3cret";
/// A token of somebody who has not been let into gated repositories.
pub const STRANGER: &str = "hf_stranger";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Hub {
    world: Arc<Mutex<World>>,
    /// Its address.
    pub url: String,
    /// The same server under another host's name.
    pub elsewhere: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts one on a free port.
    pub fn start() -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = runtime.expect("a thread may have a runtime");
            runtime.block_on(async move {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("the socket does not block");
                let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap| {
                    let answer = lock(&shared).answer(&method, &uri, &headers);
                    async move { answer }
                });
                tokio::select! {
                    _ = async { axum::serve(listener, app).await } => {}
                    _ = stopped => {}
                }
            });
        });
        Hub {
            world,
            url: format!("http://127.0.0.1:{port}"),
            elsewhere: format!("http://localhost:{port}"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What it knows; requests wait while it is looked at.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has failed a request, which the test saw.
            let _ = thread.join();
        }
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
