//! What a parse may cost: hostile text ends early, and always at the same place.
//!
//! Two counts, not a clock, so that a file has the same items on every machine. The parser reports its operations by
//! the hundred; the lexer, which may look for the end of a comment from every `/*` anew, shows only in what it
//! reads, so it gets the text in small chunks that are counted.
//!
//! Limits: within one chunk the lexer may still look at every byte once per byte.

use std::cell::{Cell, RefCell};
use std::ops::{ControlFlow, Range};

/// Bytes that the lexer gets at a time.
const CHUNK_BYTES: usize = 512;

/// The allowance of one parse over a text.
pub(crate) struct Budget<'s> {
    source: &'s [u8],
    /// Reports of a hundred operations each that are still due.
    reports_left: Cell<usize>,
    reads_left: Cell<usize>,
    last_read: RefCell<Range<usize>>,
}

impl<'s> Budget<'s> {
    pub fn new(source: &'s [u8]) -> Budget<'s> {
        // Ordinary code needs a report per 400 bytes, the densest (`[0,0,…]`) one per 12, and reads a byte three times.
        Budget {
            source,
            reports_left: Cell::new(1_000 + source.len() / 10),
            reads_left: Cell::new(1_000 + source.len() / 4),
            last_read: RefCell::new(0..0),
        }
    }

    /// A hundred operations more.
    pub fn report(&self) -> ControlFlow<()> {
        self.reports_left.set(self.reports_left.get().saturating_sub(1));
        if self.is_spent() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The text from a position on, as far as a chunk goes; empty, which ends the text, once the budget is spent.
    pub fn read(&self, at: usize) -> &'s [u8] {
        let chunk = at.min(self.source.len())..(at + CHUNK_BYTES).min(self.source.len());
        let again = self.last_read.borrow().contains(&at);
        self.reads_left.set(self.reads_left.get().saturating_sub(1));
        // The lexer asks again from within a chunk where that ends inside a character, and must get it.
        if self.is_spent() && !again {
            return &[];
        }
        self.last_read.replace(chunk.clone());
        &self.source[chunk]
    }

    /// Whether what came of the parse is not worth having.
    pub fn is_spent(&self) -> bool {
        self.reports_left.get() == 0 || self.reads_left.get() == 0
    }
}
