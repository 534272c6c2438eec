//! Progress of several files at once as the progress of one task.

use std::sync::atomic::{AtomicU64, Ordering};
use wootz_schema::progress::{Observe, Progress};

/// What all files of a task have done.
pub struct Sum<'a> {
    /// Who sees it.
    pub observe: &'a dyn Observe,
    /// Units of all files.
    pub done: AtomicU64,
}

/// One file after another, of those that are at work at once.
pub struct Share<'a> {
    sum: &'a Sum<'a>,
    mine: AtomicU64,
}

impl<'a> Share<'a> {
    /// Nothing is done yet.
    pub fn of(sum: &'a Sum<'a>) -> Share<'a> {
        Share { sum, mine: AtomicU64::new(0) }
    }

    /// Goes on to the next file: this one has so many units, all done.
    pub fn finish(&self, units: u64) {
        self.set(units);
        self.mine.store(0, Ordering::Relaxed);
    }

    fn set(&self, done: u64) {
        let before = self.mine.swap(done, Ordering::Relaxed);
        // A file that is begun anew takes back what it had done; the sum wraps around and back.
        let step = done.wrapping_sub(before);
        let all = self.sum.done.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        self.sum.observe.observe(Progress::Advance { done: all });
    }
}

impl Observe for Share<'_> {
    fn observe(&self, progress: Progress<'_>) {
        if let Progress::Advance { done } = progress {
            self.set(done);
        }
    }
}
