//! Best-fit packing of documents into rows that all begin with a document.
//!
//! nanochat's rule: keep at least 1,000 documents in a buffer; fill a row by taking the longest that still fits, again
//! and again; when none fits, take the shortest and crop it at the row's end. So no row is padded, every row begins
//! with the token that begins documents, and what is cropped is counted. Among equals the one that has waited longest
//! is taken.
//!
//! The buffer is searched in order: a thousand lengths are a few cache lines, and a tree would be no faster.

/// Documents the buffer holds at least, as long as there are more to come.
pub const BUFFERED_DOCUMENTS: usize = 1000;

/// Documents that wait for a row.
#[derive(Debug)]
pub(crate) struct Packer {
    bos: i32,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    /// Tokens of each one that waits, the token before it included.
    lens: Vec<u32>,
    pub(crate) counts: PackCounts,
}

#[derive(Debug)]
struct Waiting {
    ordinal: u64,
    ids: Vec<u32>,
}

/// Tokens that came in, and what became of them; what is in neither count waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PackCounts {
    pub(crate) received: u64,
    pub(crate) placed: u64,
    pub(crate) dropped: u64,
}

impl Packer {
    pub(crate) fn new(bos: u32) -> Packer {
        Packer { bos: bos as i32, waiting: Vec::new(), lens: Vec::new(), counts: PackCounts::default() }
    }

    /// Adds a document by its ids, without the token that begins it.
    pub(crate) fn push(&mut self, ordinal: u64, ids: Vec<u32>) {
        let len = ids.len() as u32 + 1;
        self.counts.received += u64::from(len);
        self.lens.push(len);
        self.waiting.push(Waiting { ordinal, ids });
    }

    /// Fills the row from its start and returns how much of it is filled: all, unless `refill` said that there are no
    /// more documents and none waits. `refill` adds documents and is called while the buffer is short.
    pub(crate) fn fill_row<E>(
        &mut self,
        row: &mut [i32],
        mut refill: impl FnMut(&mut Packer) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let mut more = true;
        let mut filled = 0;
        while filled < row.len() {
            while more && self.waiting.len() < BUFFERED_DOCUMENTS {
                more = refill(self)?;
            }
            let room = row.len() - filled;
            let Some(at) = self.longest_within(room).or_else(|| self.shortest()) else { break };
            self.lens.remove(at);
            let ids = self.waiting.remove(at).ids;
            let placed = (ids.len() + 1).min(room);
            row[filled] = self.bos;
            for (token, id) in row[filled + 1..filled + placed].iter_mut().zip(&ids) {
                *token = *id as i32;
            }
            filled += placed;
            self.counts.placed += placed as u64;
            self.counts.dropped += (ids.len() + 1 - placed) as u64;
        }
        Ok(filled)
    }

    /// Ordinal numbers of the documents that wait, in the order in which they came.
    pub(crate) fn ordinals(&self) -> Vec<u64> {
        self.waiting.iter().map(|document| document.ordinal).collect()
    }

    /// Tokens that wait.
    pub(crate) fn buffered_tokens(&self) -> u64 {
        self.lens.iter().map(|len| u64::from(*len)).sum()
    }

    fn longest_within(&self, room: usize) -> Option<usize> {
        let mut best = None;
        let mut best_len = 0;
        for (at, &len) in self.lens.iter().enumerate() {
            if len as usize <= room && len > best_len {
                best = Some(at);
                best_len = len;
            }
        }
        best
    }

    fn shortest(&self) -> Option<usize> {
        // The first of the smallest: `min_by_key` keeps the earlier of equals.
        self.lens.iter().enumerate().min_by_key(|(_, len)| **len).map(|(at, _)| at)
    }
}
