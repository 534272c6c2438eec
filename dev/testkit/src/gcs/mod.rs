//! A fake Google Cloud Storage on the loopback: buckets, objects, lists and uploads by the JSON interface, and reading by the XML one.
//!
//! Its state is behind one lock, and every request is answered by one function of it. Bearer tokens are looked at, digests of uploads
//! are verified, and what it does not know in a request is refused. Every request is logged.
//!
//! Not covered: versions that are not the newest, copies, changes of metadata, access lists, uploads by the XML interface.
//!
//! Source: Cloud Storage documentation, "JSON API", "XML API", "Resumable uploads"; the requests of google-cloud-storage 3.

mod media;
mod uploads;
mod world;

pub use crate::loopback::{Asked, Fault};
pub use world::{Bucket, Object, World};

use crate::loopback::Server;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A token of who may do everything.
pub const TOKEN: &str = "ya29.s3cret";
/// A token of who may read public buckets alone.
pub const STRANGER: &str = "ya29.str";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Gcs {
    world: Arc<Mutex<World>>,
    /// Its address.
    pub url: String,
    _server: Server,
}

impl Gcs {
    /// Starts one on a free port, without buckets.
    pub fn start() -> Gcs {
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let server = Server::start(move |request| lock(&shared).answer(request));
        Gcs { world, url: format!("http://127.0.0.1:{}", server.port), _server: server }
    }

    /// What it knows; requests wait while it is looked at.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
