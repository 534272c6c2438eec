//! The CUDA C++ sources: one folder per kernel, named as its op, each with `notes.md` (bytes, floor, predictions,
//! timings). The sources include nothing: what they share stands in `prelude.cuh`, which is put in front of each; what the
//! sources of one folder share stands in a file of that folder, behind the prelude.
//!
//! Constants of a shape come in as macros, so that loops unroll; [`Kernel::variants`] names the sets of macros that are
//! compiled when all kernels are checked without a GPU.

mod catalogue;

pub use catalogue::KERNELS;

/// Put in front of every source.
pub const PRELUDE: &str = include_str!("../prelude.cuh");

/// One source file.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Its file, and for most its folder and the op it serves.
    pub name: &'static str,
    /// What it shares with the other sources of its folder; it stands between the prelude and the source.
    pub ahead: &'static str,
    /// The source, without the prelude.
    pub source: &'static str,
    /// Sets of macros that it is compiled with in the check of all kernels.
    pub variants: &'static [&'static [(&'static str, &'static str)]],
    /// Whether it must not spill registers.
    pub hot: bool,
    /// Least compute capability, as 10·major + minor.
    pub least_capability: u32,
    /// Whether it runs on that capability alone: it uses instructions that later ones do not have.
    pub exact: bool,
}

/// First statement of a kernel that waits for all work before it, so that its launch need not.
const WAIT: &str = "await_earlier_kernels();";

impl Kernel {
    /// Whether all its kernels wait for the work before them.
    pub fn waits(&self) -> bool {
        self.source.matches("__global__").count() == self.source.matches(WAIT).count()
    }
    /// Whether it can be compiled for a compute capability.
    pub fn runs_on(&self, capability: u32) -> bool {
        capability == self.least_capability || capability > self.least_capability && !self.exact
    }
}

/// The source of a name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_waits_does_nothing_before() {
        for kernel in KERNELS.iter().filter(|kernel| kernel.source.contains(WAIT)) {
            assert!(kernel.waits(), "{}: all kernels of a file wait, or none", kernel.name);
            for body in kernel.source.split("__global__").skip(1) {
                let begin = body.find('{').expect("a kernel has a body");
                assert!(body[begin + 1..].trim_start().starts_with(WAIT), "{}", kernel.name);
            }
        }
        assert!(KERNELS.iter().filter(|kernel| kernel.waits()).count() > 20);
    }
}
