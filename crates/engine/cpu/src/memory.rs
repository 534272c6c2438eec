//! Zeroed memory on a cache-line boundary.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A block of zeroed bytes, aligned to 64. Pages are committed by the system when they are first written.
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    pub(crate) fn zeroed(bytes: usize) -> Block {
        let layout = Layout::from_size_align(bytes.max(64), 64)
            .expect("a size below isize::MAX, because it was planned");
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Block { start, layout },
            None => handle_alloc_error(layout),
        }
    }
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.layout.size(), "offset {offset} in a block of {}", self.layout.size());
        // SAFETY: within the block, checked above.
        unsafe { self.start.as_ptr().add(offset) }
    }
    pub(crate) fn bytes(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `zeroed`, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

// SAFETY: a block owns its memory; access goes through raw pointers whose users uphold exclusivity.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}
