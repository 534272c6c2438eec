//! Tables in device memory that kernels read: operands whose number is only known with the program.

use crate::driver::{CudaError, Memory, Pointer, Stream};
use crate::gpu::Gpu;
use crate::launch::Launch;
use std::sync::Arc;

/// Words that were copied to the device once, and live as long as the launches that read them.
pub(super) struct Table {
    memory: Arc<Memory>,
}

impl Table {
    /// Copies the words and waits.
    pub(super) fn upload(gpu: &Gpu, words: &[u64]) -> Result<Table, CudaError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let memory = Memory::allocate(&gpu.device, bytes.len())?;
        let stream = Stream::new(&gpu.device)?;
        stream.upload(memory.pointer, &bytes)?;
        stream.synchronize()?;
        Ok(Table { memory: Arc::new(memory) })
    }
    /// The place of a word.
    pub(super) fn pointer(&self, word: usize) -> Pointer {
        self.memory.pointer + 8 * word as Pointer
    }
    /// The launch, which now holds the table.
    pub(super) fn held_by(&self, launch: Launch) -> Launch {
        let (memory, name, cost) = (self.memory.clone(), launch.name.clone(), launch.cost);
        let held = Launch::new(name, move |stream| {
            let _reads = &memory;
            launch.run(stream)
        });
        held.costs(cost)
    }
}
