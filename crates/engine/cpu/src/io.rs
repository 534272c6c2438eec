//! A kernel's view of its operands.

use std::marker::PhantomData;
use std::slice;
use wootz_tensor::{DType, Shape};

/// Memory of one operand.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) start: *mut u8,
    pub(crate) len: usize,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
}

/// The operands of one node.
///
/// Contract, upheld by the memory plan: operands of one node do not overlap, except that an output may lie on the input
/// it is paired with in `Op::in_place`; kernels of such ops reach both through [`Io::output_over`] only.
pub(crate) struct Io<T> {
    pub(crate) inputs: Vec<Slot>,
    pub(crate) outputs: Vec<Slot>,
    pub(crate) scratch: Slot,
    pub(crate) elements: PhantomData<T>,
}

#[allow(clippy::mut_from_ref)] // operands are disjoint memory by the plan's contract, not parts of `self`
impl<T: Copy> Io<T> {
    pub(crate) fn input_count(&self) -> usize {
        self.inputs.len()
    }
    /// Dims of input `i`.
    pub(crate) fn dims(&self, i: usize) -> &[usize] {
        self.inputs[i].shape.dims()
    }
    /// Last dim of input `i`.
    pub(crate) fn last(&self, i: usize) -> usize {
        self.inputs[i].shape.last()
    }
    /// Rows of input `i`.
    pub(crate) fn rows(&self, i: usize) -> usize {
        self.inputs[i].shape.rows()
    }
    pub(crate) fn input(&self, i: usize) -> &[T] {
        let slot = &self.inputs[i];
        assert_ne!(slot.dtype, DType::I32, "input {i} holds integers");
        // SAFETY: the slot covers `len` initialised elements of T that nothing writes while the kernel runs.
        unsafe { slice::from_raw_parts(slot.start.cast(), slot.len) }
    }
    pub(crate) fn integers(&self, i: usize) -> &[i32] {
        let slot = &self.inputs[i];
        assert_eq!(slot.dtype, DType::I32, "input {i} holds no integers");
        // SAFETY: as for `input`; integer values are stored as i32 in every session.
        unsafe { slice::from_raw_parts(slot.start.cast(), slot.len) }
    }
    /// A scalar input.
    pub(crate) fn scalar(&self, i: usize) -> T {
        self.input(i)[0]
    }
    /// An input that the op updates.
    pub(crate) fn updated(&self, i: usize) -> &mut [T] {
        let slot = &self.inputs[i];
        assert_ne!(slot.dtype, DType::I32, "input {i} holds integers");
        // SAFETY: persistent memory that no other operand of the node overlaps; each kernel asks once per operand.
        unsafe { slice::from_raw_parts_mut(slot.start.cast(), slot.len) }
    }
    pub(crate) fn output(&self, i: usize) -> &mut [T] {
        let slot = &self.outputs[i];
        assert_ne!(slot.dtype, DType::I32, "output {i} holds integers");
        // SAFETY: the output's own memory; each kernel asks once per operand.
        unsafe { slice::from_raw_parts_mut(slot.start.cast(), slot.len) }
    }
    /// Output `i` holding a copy of one of `inputs`, and which: the one it lies on, where it lies on one (then nothing is
    /// copied), else the first.
    pub(crate) fn output_over(&self, i: usize, inputs: &[usize]) -> (&mut [T], usize) {
        let start = self.outputs[i].start;
        let over = inputs.iter().copied().find(|j| self.inputs[*j].start == start);
        let output = self.output(i);
        match over {
            Some(j) => (output, j),
            None => {
                output.copy_from_slice(self.input(inputs[0]));
                (output, inputs[0])
            }
        }
    }
    /// The node's scratch memory, as planned; its content is undefined.
    pub(crate) fn scratch(&self) -> &mut [T] {
        // SAFETY: planned for this node alone; every bit pattern is a value of T (f32 or f64).
        unsafe { slice::from_raw_parts_mut(self.scratch.start.cast(), self.scratch.len) }
    }
}

// SAFETY: slots point into memory the session owns; a session runs one node at a time.
unsafe impl<T> Send for Io<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Io<T> {}
