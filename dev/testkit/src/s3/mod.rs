//! A fake S3 on the loopback: buckets by path, objects, lists, uploads in parts, and signatures (version 4) that are verified.
//!
//! Its state is behind one lock, and every request is answered by one function of it and of the time. It is as strict as the real one
//! where clients go wrong, and says `NotImplemented` to what it does not know. Every request is logged.
//!
//! Not covered: versions, copies, tags, access lists, checksums other than the SHA-256 that is signed, bodies that are signed in chunks.
//!
//! Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)" and the pages of the operations.

mod objects;
mod signature;
mod uploads;
mod world;
mod xml;

pub use crate::loopback::{Asked, Fault};
pub use signature::Account;
pub use world::{Bucket, Object, World};

use crate::loopback::Server;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who may do everything.
pub const OWNER: Account = Account { key: "AKIAWOOTZOWNER", secret: "own/s3cret+key", token: None };
/// The same for a while: such a key is worth nothing without its token.
pub const GUEST: Account =
    Account { key: "ASIAWOOTZGUEST", secret: "guest/s3cret", token: Some("FwoGs3cretTOKEN==") };
/// Who is known, and may read public buckets alone.
pub const STRANGER: Account = Account { key: "AKIAWOOTZSTRANGER", secret: "str/s3cret", token: None };

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct S3 {
    world: Arc<Mutex<World>>,
    /// Its address.
    pub url: String,
    _server: Server,
}

impl S3 {
    /// Starts one on a free port, without buckets.
    pub fn start() -> S3 {
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let server = Server::start(move |request| lock(&shared).answer(request, Timestamp::now()));
        S3 { world, url: format!("http://127.0.0.1:{}", server.port), _server: server }
    }

    /// What it knows; requests wait while it is looked at.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
