//! The control connections of a job: a star around rank 0 that stays open as long as the job.
//!
//! A thread per connection reads frames into queues; rank 0 passes on what is meant for others. A connection that closes
//! without a good-bye, or is silent for too long, is a rank that died: rank 0 tells all others, and whoever waits gets an
//! error that names the rank. Traffic is small on GPUs, where only figures go this way; CPU ranks also exchange gradients.
//!
//! Not covered: encryption, and guests that mean harm. The port belongs on a network of the cluster's own.

use crate::wire::{Frame, Kind};
use crate::world::{Channel, FailureHook, Link, MeshError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wootz_schema::mesh::Failure;

/// How often a rank with nothing to say shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A rank that is silent for so long is gone: its host is down or cut off.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);
/// How long a rank that is done waits for the others' good-byes.
const FAREWELL: Duration = Duration::from_secs(60);

/// This rank's end of the star.
pub(crate) struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    rank: usize,
    size: usize,
    /// On rank 0 by rank − 1; elsewhere one.
    writers: Vec<Mutex<TcpStream>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    inbox: BTreeMap<(u8, usize), VecDeque<Vec<u8>>>,
    /// Whether a failure is known, of which the others are being told.
    failed: bool,
    failure: Option<Failure>,
    hook: Option<FailureHook>,
    /// Ranks that said good-bye; on other ranks than 0, only rank 0.
    departed: BTreeSet<usize>,
    closing: bool,
}

impl Control {
    /// Starts the threads that read; `streams` are those of [`crate::rendezvous::meet`].
    pub(crate) fn begin(rank: usize, size: usize, streams: Vec<TcpStream>) -> Result<Control, MeshError> {
        let broken = |error: io::Error| MeshError::Message(error.to_string());
        let readers =
            streams.iter().map(TcpStream::try_clone).collect::<io::Result<Vec<_>>>().map_err(broken)?;
        let shared = Arc::new(Shared {
            rank,
            size,
            writers: streams.into_iter().map(Mutex::new).collect(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        for (i, reader) in readers.into_iter().enumerate() {
            let (shared, peer) = (Arc::clone(&shared), if rank == 0 { i + 1 } else { 0 });
            spawn(&format!("rank {peer}"), move || shared.read(peer, reader))?;
        }
        let beating = Arc::clone(&shared);
        spawn("heartbeat", move || beating.beat())?;
        Ok(Control { shared })
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), MeshError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| MeshError::Message(error.to_string()))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The connection that leads to a rank.
    fn send(&self, to: usize, frame: &Frame) -> io::Result<()> {
        let writer = &self.writers[if self.rank == 0 { to - 1 } else { 0 }];
        frame.write(&mut *writer.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Ranks at the other ends of the connections.
    fn neighbours(&self) -> std::ops::Range<usize> {
        if self.rank == 0 { 1..self.size } else { 0..1 }
    }

    /// Takes in what a neighbour says until it says good-bye or is gone.
    fn read(&self, peer: usize, mut stream: TcpStream) {
        // Without the option, a host that is cut off is noticed by the system's own, longer, timeout.
        let _ = stream.set_read_timeout(Some(SILENCE));
        loop {
            match Frame::read(&mut stream) {
                Ok(frame) if frame.kind == Kind::Bye => {
                    self.state().departed.insert(peer);
                    return self.changed.notify_all();
                }
                Ok(frame) => self.take(frame),
                Err(error) => return self.lost(peer, &error),
            }
        }
    }
    fn take(&self, frame: Frame) {
        match frame.kind {
            Kind::Data if usize::from(frame.to) != self.rank && self.rank == 0 => {
                // A receiver that is gone is noticed by its own reader.
                let _ = self.send(usize::from(frame.to).clamp(1, self.size - 1), &frame);
            }
            Kind::Data => {
                let key = (frame.channel, usize::from(frame.from));
                self.state().inbox.entry(key).or_default().push_back(frame.body);
                self.changed.notify_all();
            }
            Kind::Failed => {
                if let Ok(failure) = serde_json::from_slice(&frame.body) {
                    self.failed(failure);
                }
            }
            Kind::Alive | Kind::Hello | Kind::Welcome | Kind::Bye => {}
        }
    }
    fn lost(&self, peer: usize, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("nothing was heard of it for {} s", SILENCE.as_secs())
            }
            io::ErrorKind::InvalidData => format!("it sent what cannot be read: {error}"),
            _ => "its process is gone".to_owned(),
        };
        self.failed(Failure { rank: peer, reason, hint: None, exit: 1 });
    }
    /// Keeps the first failure: on rank 0 tells all others, then wakes whoever waits, who may end the process.
    fn failed(&self, failure: Failure) {
        {
            let mut state = self.state();
            if state.closing || state.failed {
                return;
            }
            state.failed = true;
        }
        if self.rank == 0 {
            self.tell(&failure);
        }
        let hook = {
            let mut state = self.state();
            state.failure = Some(failure.clone());
            state.hook.take()
        };
        self.changed.notify_all();
        if let Some(hook) = hook.filter(|_| failure.rank != self.rank) {
            hook(&failure);
        }
    }
    fn tell(&self, failure: &Failure) {
        let Ok(body) = serde_json::to_vec(failure) else { return };
        let frame = Frame::plain(Kind::Failed, self.rank, body);
        for peer in self.neighbours().filter(|peer| *peer != failure.rank) {
            // Whoever cannot be told is gone itself.
            let _ = self.send(peer, &frame);
        }
    }
    fn beat(&self) {
        let frame = Frame::plain(Kind::Alive, self.rank, Vec::new());
        let mut last = Instant::now();
        loop {
            let state = self.state();
            let waited = self.changed.wait_timeout(state, HEARTBEAT).unwrap_or_else(PoisonError::into_inner);
            if waited.0.closing {
                return;
            }
            drop(waited);
            if last.elapsed() >= HEARTBEAT {
                last = Instant::now();
                for peer in self.neighbours() {
                    // A neighbour that is gone is noticed by its reader.
                    let _ = self.send(peer, &frame);
                }
            }
        }
    }
    /// The next part of an exchange from a rank.
    fn receive(&self, channel: Channel, from: usize) -> Result<Vec<u8>, MeshError> {
        let mut state = self.state();
        loop {
            let queue = state.inbox.get_mut(&(channel as u8, from));
            if let Some(part) = queue.and_then(VecDeque::pop_front) {
                return Ok(part);
            }
            if let Some(failure) = state.failure.clone() {
                return Err(MeshError::Peer(failure));
            }
            if state.departed.contains(&from) {
                let reason = "it was done before this rank".to_owned();
                return Err(MeshError::Peer(Failure { rank: from, reason, hint: None, exit: 70 }));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Link for Control {
    fn all_to_all(&self, channel: Channel, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, MeshError> {
        let shared = &self.shared;
        let mut own = Vec::new();
        for (to, body) in parts.into_iter().enumerate() {
            if to == shared.rank {
                own = body;
                continue;
            }
            let (from, to_word) = (shared.rank as u16, to as u16);
            let frame = Frame { kind: Kind::Data, channel: channel as u8, from, to: to_word, body };
            // A connection that takes nothing is at its end, and its reader says why: who closed it may have said before
            // which rank failed first, and that is still to be read.
            let _ = shared.send(to, &frame);
        }
        let mut received = Vec::with_capacity(shared.size);
        for from in 0..shared.size {
            let part =
                if from == shared.rank { std::mem::take(&mut own) } else { shared.receive(channel, from)? };
            received.push(part);
        }
        Ok(received)
    }
    fn failure(&self) -> Option<Failure> {
        self.shared.state().failure.clone().filter(|failure| failure.rank != self.shared.rank)
    }
    fn fail(&self, failure: Failure) {
        let mut state = self.shared.state();
        if state.closing || state.failed {
            return;
        }
        state.failed = true;
        state.failure = Some(failure.clone());
        drop(state);
        self.shared.changed.notify_all();
        self.shared.tell(&failure);
    }
    fn leave(&self) -> Result<(), MeshError> {
        let shared = &self.shared;
        let deadline = Instant::now() + FAREWELL;
        let wait = || {
            let mut state = shared.state();
            while !shared.neighbours().all(|peer| state.departed.contains(&peer)) {
                if let Some(failure) = state.failure.clone() {
                    return Err(MeshError::Peer(failure));
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(MeshError::Message("they did not finish".to_owned()));
                }
                state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            Ok(())
        };
        // Rank 0 is the last to go, so that it can pass on a failure to the end.
        if shared.rank == 0 {
            wait()?;
        }
        for peer in shared.neighbours() {
            let _ = shared.send(peer, &Frame::plain(Kind::Bye, shared.rank, Vec::new()));
        }
        if shared.rank != 0 {
            wait()?;
        }
        shared.state().closing = true;
        shared.changed.notify_all();
        Ok(())
    }
    fn on_failure(&self, hook: FailureHook) {
        let mut state = self.shared.state();
        match state.failure.clone().filter(|failure| failure.rank != self.shared.rank) {
            None => state.hook = Some(hook),
            Some(failure) => {
                drop(state);
                hook(&failure);
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
        for writer in &self.shared.writers {
            // Ends the readers here; ranks at the other ends that are not done see a rank that is gone.
            let _ = writer.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
        }
    }
}
