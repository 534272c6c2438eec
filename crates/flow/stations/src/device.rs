//! From a device's name in a configuration to the backend that runs programs on it.

use std::ffi::OsString;
use std::path::PathBuf;
use wootz_cpu::CpuBackend;
use wootz_cuda::nccl::{Nccl, Ranks, UniqueId};
use wootz_cuda::{CudaBackend, Options, Precision, Search};
use wootz_mesh::{Channel, MeshError, World};
use wootz_pipeline::StepError;
use wootz_program::{Backend, BackendError};
use wootz_schema::device::{Device, StoredDType};
use wootz_schema::train::PretrainConfig;

/// What a run may use of the machine beside its processor.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Where NVIDIA's libraries may lie.
    pub libraries: Search,
    /// Folder in which compiled kernels and timed choices are kept; none: nothing is kept.
    pub cache: Option<PathBuf>,
    /// Folders of programs, as `PATH` has them.
    pub programs: OsString,
    /// Where models and data sets come from.
    pub hub: wootz_hub::Place,
    /// The command that runs a project's container, when flags and a process are added to it.
    pub container: Vec<String>,
    /// Where object stores are, and who asks them.
    pub stores: wootz_fetch::Stores,
}

/// A device and what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub device: Device,
    /// Number formats on a GPU.
    pub precision: Precision,
    /// The same bits in every run.
    pub deterministic: bool,
    /// Collectives beside the last micro-step.
    pub overlap_collectives: bool,
    /// Threads of the CPU; 0: all cores.
    pub threads: usize,
}

impl From<&PretrainConfig> for Wanted {
    fn from(config: &PretrainConfig) -> Wanted {
        Wanted {
            device: config.device,
            precision: Precision {
                bf16_gradients: config.gradient_dtype == StoredDType::Bf16,
                bf16_tables: config.table_dtype == StoredDType::Bf16,
                fp8: config.fp8,
            },
            deterministic: config.deterministic,
            overlap_collectives: config.overlap_collectives,
            threads: config.threads,
        }
    }
}

/// A backend that is open.
pub enum Opened {
    /// The CPU; where it was not asked for by name, why it is not a GPU.
    Cpu(CpuBackend, Option<BackendError>),
    /// A GPU.
    Cuda(Box<CudaBackend>),
}

impl Opened {
    /// What runs programs.
    pub fn backend(&self) -> &dyn Backend {
        match self {
            Opened::Cpu(backend, _) => backend,
            Opened::Cuda(backend) => &**backend,
        }
    }
    /// Why the device is the one it is, where that was left open.
    pub fn reason(&self, wanted: Device) -> Option<String> {
        match (self, wanted) {
            (Opened::Cpu(_, Some(why)), Device::Auto) => {
                Some(format!("on the CPU, since no GPU can be used: {why}"))
            }
            (Opened::Cuda(backend), Device::Auto) => {
                Some(format!("on the GPU {}, the first that is visible", backend.describe()))
            }
            _ => None,
        }
    }
}

impl Machine {
    /// Opens a device. One that was named and cannot be used is an error with the fix; `auto` falls back to the CPU, unless
    /// what only a GPU has is asked for.
    pub fn open(&self, wanted: Wanted) -> Result<Opened, StepError> {
        self.open_among(&World::single(), wanted)
    }
    /// The same for one of several ranks: each takes the GPU of its number on its host.
    pub fn open_among(&self, world: &World, wanted: Wanted) -> Result<Opened, StepError> {
        let cpu = || {
            let backend = CpuBackend::fast(wanted.threads).in_world(world.clone());
            if wanted.overlap_collectives { backend.overlapping() } else { backend }
        };
        let gpu = |ordinal| self.gpu(world, wanted, ordinal);
        match wanted.device {
            Device::Cpu => {
                refuse(wanted, None).and_then(|()| of_kind(world, "cpu")).map(|()| Opened::Cpu(cpu(), None))
            }
            Device::Cuda(0) => gpu(world.local_rank),
            Device::Cuda(ordinal) if world.size == 1 => gpu(ordinal),
            Device::Cuda(ordinal) => {
                Err(StepError::usage(format!("train {} ranks on GPU {ordinal}", world.size))
                    .with_hint("write device: cuda, which gives each rank a GPU of its own"))
            }
            Device::Auto => match wootz_cuda::ready(&self.libraries, world.local_rank) {
                Ok(()) => gpu(world.local_rank),
                Err(why) => {
                    refuse(wanted, Some(&why))?;
                    of_kind(world, "cpu")?;
                    Ok(Opened::Cpu(cpu(), Some(why)))
                }
            },
        }
    }
    fn gpu(&self, world: &World, wanted: Wanted, ordinal: usize) -> Result<Opened, StepError> {
        of_kind(world, "cuda")?;
        let ranks = match world.size {
            1 => None,
            _ => {
                // A machine without a GPU says so, rather than that it lacks what connects GPUs.
                wootz_cuda::ready(&self.libraries, ordinal).map_err(|error| StepError::from_error(&error))?;
                Some(self.ranks(world)?)
            }
        };
        self.open_gpu(wanted, ordinal, ranks).map_err(|error| StepError::from_error(&error))
    }
    /// What the GPUs' ranks need to connect: rank 0 makes it for all.
    fn ranks(&self, world: &World) -> Result<Ranks, StepError> {
        let made = match world.leads() {
            true => Nccl::open(&self.libraries).and_then(|nccl| nccl.unique_id()),
            false => Ok(UniqueId([0; 128])),
        };
        let made = made.map_err(|error| StepError::from_error(&BackendError::from(error)))?;
        let bytes = world.from_leader(Channel::Loop, made.0.to_vec());
        let bytes = bytes.map_err(|error| StepError::from_error(&error))?;
        let id = bytes
            .try_into()
            .map_err(|_| StepError::from_error(&MeshError::Message("rank 0's is cut short".to_owned())))?;
        Ok(Ranks { rank: world.rank, size: world.size, id: UniqueId(id) })
    }
    fn open_gpu(&self, wanted: Wanted, ordinal: usize, ranks: Option<Ranks>) -> Result<Opened, BackendError> {
        let backend = CudaBackend::open(Options {
            ordinal,
            search: self.libraries.clone(),
            cache: self.cache.clone(),
            deterministic: wanted.deterministic,
            precision: wanted.precision,
            ranks,
            overlap_collectives: wanted.overlap_collectives,
            ..Options::default()
        })?;
        Ok(Opened::Cuda(Box::new(backend)))
    }
}

/// All ranks compute on one kind of device, or it is named which does not.
fn of_kind(world: &World, kind: &str) -> Result<(), StepError> {
    world.agree("kind of device", kind).map_err(|error| StepError::from_error(&error))
}

/// An error where the CPU is asked for what it does not have.
fn refuse(wanted: Wanted, why_no_gpu: Option<&BackendError>) -> Result<(), StepError> {
    let Precision { fp8, bf16_gradients, .. } = wanted.precision;
    let what = match (fp8, bf16_gradients) {
        (true, _) => "fp8",
        (_, true) => "gradient_dtype: bf16",
        _ => return Ok(()),
    };
    Err(match why_no_gpu {
        None => StepError::usage(format!("train with {what} on the CPU, which computes in f32"))
            .with_hint(format!("leave out {what}, or choose device: cuda")),
        Some(why) => StepError { message: format!("train with {what}: {why}"), ..StepError::from_error(why) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_schema::ExitCode;

    fn open(config: &PretrainConfig) -> Result<String, StepError> {
        let opened = Machine::default().open(Wanted::from(config))?;
        Ok(opened.backend().describe())
    }

    #[test]
    fn the_cpu_refuses_what_it_would_ignore() {
        let cpu = PretrainConfig { device: Device::Cpu, threads: 1, ..PretrainConfig::default() };
        assert!(open(&cpu).is_ok_and(|name| name.starts_with("cpu (1 thread")));
        for config in [
            PretrainConfig { fp8: true, ..cpu.clone() },
            PretrainConfig { gradient_dtype: StoredDType::Bf16, ..cpu.clone() },
        ] {
            let error = open(&config).expect_err("the CPU has no such format");
            assert_eq!(error.exit, ExitCode::Usage);
            assert!(error.hint.is_some_and(|hint| hint.contains("device: cuda")));
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_of_the_environment() {
        let config = PretrainConfig { device: Device::Cuda(4000), ..PretrainConfig::default() };
        let error = open(&config).expect_err("no machine has so many");
        assert_eq!(error.exit, ExitCode::Environment);
        assert!(error.hint.is_some(), "{}", error.message);
    }
}
