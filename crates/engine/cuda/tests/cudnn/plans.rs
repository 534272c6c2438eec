//! Plans by the real cuDNN, on a machine without a GPU.
//!
//! cuDNN compiles for a device that is described to it. It wants a driver all the same, so a library with the driver's
//! name that does nothing is built here (`driver_stub.c`) and opened first. That happens in a process of its own: this
//! test starts itself again, since nothing else in this process may take that library for a driver.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use wootz_cuda::cudnn::descriptor::Target;
use wootz_cuda::cudnn::{Backward, Cudnn, DeviceProperties, Forward, ForwardPointers, SdpaShape};
use wootz_cuda::{Library, Name, Search};

const NAME: &str = "cudnn::plans::cudnn_plans_attention_with_no_gpu";
/// Names the stub to the process that makes the plans.
const STUB: &str = "WOOTZ_TEST_DRIVER_STUB";
const INSTALL: &str = "run `dev/setup.sh test`, which installs dev/requirements-cuda.txt into .venv, or set \
    WOOTZ_CUDA_LIBRARIES to the folders of nvidia-cudnn-cu13, nvidia-cublas and nvidia-cuda-nvrtc";

#[test]
fn cudnn_plans_attention_with_no_gpu() {
    if let Some(stub) = std::env::var_os(STUB) {
        return plan_everything(Path::new(&stub));
    }
    let folder = tempfile::tempdir().unwrap();
    let stub = folder.path().join("libcuda.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cudnn/driver_stub.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
        .args([&stub, &source])
        .status();
    assert!(compiled.unwrap().success(), "cc did not compile {}", source.display());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .env(STUB, &stub)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    println!("{said}");
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test has another name than {NAME}: {said}");
}

fn plan_everything(stub: &Path) {
    let target = target(stub);
    let version = target.cudnn().version;
    println!("{}", target.cudnn().describe());
    for shape in shapes() {
        let passes = (Forward::new(&target, shape), Backward::new(&target, shape));
        let (Ok(forward), Ok(backward)) = passes else {
            panic!("{shape}: {:?} {:?}", passes.0.err(), passes.1.err());
        };
        let engines = |plans: &[wootz_cuda::cudnn::Plan]| -> Vec<String> {
            plans.iter().map(|plan| format!("{} {}", plan.name, plan.workspace_bytes)).collect()
        };
        println!("forward  {shape}: {} bytes {:?}", forward.workspace_bytes(), engines(forward.candidates()));
        println!(
            "backward {shape}: {} bytes {:?}",
            backward.workspace_bytes(),
            engines(backward.candidates())
        );
        // The engines for Hopper come first, on the version that this was written for.
        if version / 100 == 919 {
            assert!(forward.chosen().name.starts_with("eng2_"), "{shape}: {}", forward.chosen().name);
            assert!(backward.chosen().name.starts_with("eng6_"), "{shape}: {}", backward.chosen().name);
        }
        assert!(forward.workspace_bytes() <= 1 << 20, "{shape}: {}", forward.workspace_bytes());
        let most = backward_bytes(&shape);
        let needed = backward.chosen().workspace_bytes;
        assert!(needed <= most, "{shape}: cuDNN asks for {needed} bytes, at most {most} make sense");
        assert!(backward.workspace_bytes() >= needed);
    }
    launches_are_checked(&target);
}

/// What cuDNN's own part of the backward workspace may be.
fn backward_bytes(shape: &SdpaShape) -> usize {
    let rows = shape.batch * shape.heads * shape.time;
    let per_query_head = if shape.heads == shape.kv_heads { 0 } else { 2 * 2 * rows * shape.head_dim };
    let scores = if shape.deterministic { 2 * rows * shape.time } else { 0 };
    per_query_head + scores + (1 << 20)
}

fn shapes() -> Vec<SdpaShape> {
    let packed = SdpaShape::packed;
    let gqa = SdpaShape::separate(4, 2048, 32, 8, 128);
    vec![
        // Those whose calls were recorded.
        SdpaShape::separate(4, 2048, 10, 10, 128),
        gqa,
        SdpaShape { sink: true, ..SdpaShape::separate(4, 4096, 64, 8, 64).with_window(Some(127)) },
        SdpaShape { ragged: true, ..gqa },
        // Views of packed rows: the models of depth 20 and 12, long and short, and what else the op takes.
        packed(32, 2048, 10, 10, 128),
        packed(1, 65536, 10, 10, 128),
        packed(8, 1024, 10, 10, 128).with_window(Some(256)),
        packed(32, 2048, 6, 6, 128),
        packed(3, 100, 4, 2, 64),
        SdpaShape { deterministic: true, ..packed(8, 1024, 10, 10, 128) },
    ]
}

/// A launch that cannot be right is refused before cuDNN sees it.
fn launches_are_checked(target: &Target) {
    let shape = SdpaShape::packed(2, 128, 2, 2, 64);
    let forward = Forward::new(target, shape).unwrap();
    let stream = std::ptr::null_mut();
    let refused = |pointers: ForwardPointers| {
        // SAFETY: the plan is for a device that is not there: nothing is launched.
        unsafe { forward.launch(stream, &pointers, 4096) }.unwrap_err().to_string()
    };
    let pointers = ForwardPointers::packed(&shape, 4096, 8192, 12288);
    assert_eq!([pointers.q, pointers.k, pointers.v], [4096, 4096 + 256, 4096 + 512]);
    assert!(refused(ForwardPointers { o: 4104, ..pointers }).contains("o is not a multiple of 16"));
    assert!(refused(ForwardPointers { q: 0, ..pointers }).contains("q is missing"));
    assert!(refused(pointers).contains("a device is missing"));
}

fn target(stub: &Path) -> Target {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let folders = std::env::var_os("WOOTZ_CUDA_LIBRARIES");
    let folders: Vec<PathBuf> = folders.iter().flat_map(std::env::split_paths).collect();
    // SAFETY: the stub's functions do nothing.
    let driver = unsafe {
        libloading::os::unix::Library::open(
            Some(stub),
            libloading::os::unix::RTLD_GLOBAL | libloading::os::unix::RTLD_NOW,
        )
    };
    std::mem::forget(driver.unwrap());
    let search = Search { folders, executables: vec![repository.join(".venv/bin")], toolkits: Vec::new() };
    let open = |name: Name| Library::open(name, &search).unwrap_or_else(|error| panic!("{error}: {INSTALL}"));
    // cuDNN finds these two open.
    std::mem::forget([open(Name::Nvrtc), open(Name::CublasLt)]);
    let cudnn: Arc<Cudnn> = Cudnn::load(open(Name::Cudnn)).unwrap();
    let json = include_str!("h200.json").to_owned();
    Target::described(&cudnn, &DeviceProperties { json }).unwrap()
}
