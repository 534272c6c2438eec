//! The second half of sums over blocks: the shares that the blocks of kernels have left are added in a fixed order.

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use crate::partial_sums::AddSums;
use wootz_tensor::DType;

const THREADS: u32 = 256;
/// Stretches of numbers that a launch takes, as in the kernel.
const ENTRIES: usize = 64;
/// Words of one, and those of one that no block reaches.
const UNUSED: [u64; 4] = [0, 0, i32::MAX as u64, 0];

impl Code for AddSums {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let function = node.function("partial_sums", "partial_sums", &Vec::new())?;
        let mut stretches = Vec::new();
        let mut at = 0;
        for sums in &self.of {
            let shares = node.input(at);
            let mut number = 0;
            for target in &sums.targets {
                let to = node.input(target.input);
                let halved = match to.dtype {
                    DType::BF16 => 1u64,
                    DType::F32 => 0,
                    other => return Err(node.unsupported(format!("sums in {other}"))),
                };
                let from = shares.element(number * sums.blocks);
                let factor = u64::from((sums.factor as f32).to_bits()) | halved << 32;
                stretches.push((target.len, sums.blocks, [from, to.element(target.first), factor]));
                number += target.len;
            }
            at += 1 + sums.targets.len();
        }
        let launch = |stretches: &[(usize, usize, [u64; 3])]| {
            let (mut words, mut begin) = (Vec::new(), 0);
            for (len, blocks, [from, to, factor]) in stretches {
                words.extend([*from, *to, begin as u64 | (*blocks as u64) << 32, *factor]);
                begin += len;
            }
            words.extend(std::iter::repeat_n(UNUSED, ENTRIES - stretches.len()).flatten());
            let arguments = Arguments::new().block(&words);
            let grid = [begin as u32, 1, 1];
            Launch::kernel("partial_sums", function.clone(), grid, [THREADS, 1, 1], 0, arguments)
        };
        Ok(stretches.chunks(ENTRIES).map(launch).collect())
    }
}
