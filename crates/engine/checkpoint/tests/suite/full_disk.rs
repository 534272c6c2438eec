//! A full disk: one clear error, and the checkpoints before it untouched.

use crate::snapshot;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use wootz_checkpoint::{CheckpointError, Retention, Saver, digest, step_folders, write_tensors};
use wootz_schema::{Diagnose, ExitCode};
use wootz_tensor::HostTensor;

fn assert_full(error: &CheckpointError) {
    assert_eq!(error.exit(), ExitCode::Environment);
    assert!(error.hint().is_some_and(|hint| hint.contains("free disk space")), "{error}: {:?}", error.hint());
}

/// The device that is always full takes the writer's path through the same system calls.
#[test]
fn a_tensor_file_on_a_full_device() {
    let tensors = vec![("a".to_owned(), HostTensor::f32([4], vec![1.0; 4]).unwrap())];
    assert_full(&write_tensors(Path::new("/dev/full"), &tensors).unwrap_err());
}

/// A file system of 1 MiB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at);
        mount.output().ok()?.status.success().then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Where mounting is not permitted, only the test above speaks for the full disk.
#[test]
fn a_checkpoint_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    let retention = Retention { keep_last: NonZeroUsize::MIN, keep_every: None };

    let mut saver = Saver::new(&disk.0, retention).unwrap();
    saver.save(snapshot(1)).unwrap();
    let mut large = snapshot(2);
    large.optimizer.push(("moments".to_owned(), HostTensor::f32([1 << 19], vec![0.0; 1 << 19]).unwrap()));
    saver.save(large).unwrap();
    assert_full(&saver.finish().unwrap_err());

    let left = step_folders(&disk.0).unwrap();
    assert_eq!(left.len(), 1);
    digest(&left[0].1).unwrap();
    assert_eq!(std::fs::read_dir(&disk.0).unwrap().count(), 1, "the half-written folder is gone");

    // With the space back, the same disk takes the next checkpoint.
    let mut saver = Saver::new(&disk.0, retention).unwrap();
    saver.save(snapshot(3)).unwrap();
    assert_eq!(saver.finish().unwrap().unwrap().step, 3);
}
