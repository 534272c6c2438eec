//! What the machine is: read once, shown by the report and by `wootz doctor`.
//!
//! Linux answers everything; elsewhere what cannot be read is empty or zero.

use std::fs;
use wootz_schema::event::Capacity;
use wootz_schema::report::Hardware;

/// Reads the machine's processor, memory and system.
pub fn hardware() -> Hardware {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = quoted(&release, "PRETTY_NAME=").unwrap_or_else(|| std::env::consts::OS.to_owned());
    Hardware {
        cpu: field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        threads: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        memory_bytes: kibibytes(&meminfo, "MemTotal"),
        features: features(),
        os: format!("{name} ({})", std::env::consts::ARCH),
    }
}

/// Bytes of memory that new work can use without swapping; 0 where it cannot be read.
pub fn available_memory_bytes() -> u64 {
    kibibytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable")
}

/// What the steps of a run share on this machine. `visible` is what `CUDA_VISIBLE_DEVICES` says; without it every GPU
/// that has a device file counts.
pub fn capacity(visible: Option<&str>) -> Capacity {
    let machine = hardware();
    let gpus = match visible {
        Some(list) => gpu_names(list),
        None => {
            let files = fs::read_dir("/dev").into_iter().flatten().flatten();
            let number = |name: &str| name.strip_prefix("nvidia")?.parse::<u32>().ok();
            let mut numbers: Vec<u32> =
                files.filter_map(|file| number(&file.file_name().to_string_lossy())).collect();
            numbers.sort_unstable();
            // CUDA counts the devices it sees from 0, whatever their files are called.
            (0..numbers.len()).map(|ordinal| ordinal.to_string()).collect()
        }
    };
    Capacity { cpus: machine.threads as u32, memory_mb: machine.memory_bytes >> 20, gpus }
}

/// The GPUs of a list like that of `CUDA_VISIBLE_DEVICES`; what stands after -1 is not seen.
pub fn gpu_names(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim).take_while(|name| *name != "-1");
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn features() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
    ];
    #[cfg(target_arch = "aarch64")]
    let found = [
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found: [(&str, bool); 0] = [];
    found.iter().filter(|(_, present)| *present).map(|(name, _)| (*name).to_owned()).collect()
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn quoted(text: &str, prefix: &str) -> Option<String> {
    Some(text.lines().find_map(|line| line.strip_prefix(prefix))?.trim_matches('"').to_owned())
}

fn kibibytes(text: &str, name: &str) -> u64 {
    let number = field(text, name).and_then(|value| value.split(' ').next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(kibibytes("MemTotal:       24 kB\nMemFree: 1 kB\n", "MemTotal"), 24 * 1024);
        assert_eq!(
            field("model name\t: Some CPU @ 2GHz\n", "model name").as_deref(),
            Some("Some CPU @ 2GHz")
        );
        assert_eq!(quoted("NAME=x\nPRETTY_NAME=\"An OS 1\"\n", "PRETTY_NAME=").as_deref(), Some("An OS 1"));
    }
}
