//! Kernels from source to machine code, by NVRTC, kept on disk.
//!
//! A cubin depends on the source, its macros, the architecture and the compiler's version; their digest is its file name,
//! so nothing in the cache is ever stale.

use crate::driver::{CudaError, Status};
use crate::library::{Library, Name, Search, functions};
use sha2::{Digest, Sha256};
use std::ffi::{CString, c_char, c_void};
use std::fmt::Write;
use std::path::PathBuf;
use wootz_kernels::{Kernel, PRELUDE};

functions! {
    /// The compiler's functions that are used.
    Api {
        fn nvrtcVersion(major: *mut i32, minor: *mut i32) -> Status;
        fn nvrtcCreateProgram(
            program: *mut *mut c_void, source: *const c_char, name: *const c_char, headers: i32,
            header_sources: *const *const c_char, header_names: *const *const c_char,
        ) -> Status;
        fn nvrtcCompileProgram(program: *mut c_void, count: i32, options: *const *const c_char) -> Status;
        fn nvrtcGetCUBINSize(program: *mut c_void, bytes: *mut usize) -> Status;
        fn nvrtcGetCUBIN(program: *mut c_void, cubin: *mut c_char) -> Status;
        fn nvrtcGetProgramLogSize(program: *mut c_void, bytes: *mut usize) -> Status;
        fn nvrtcGetProgramLog(program: *mut c_void, log: *mut c_char) -> Status;
        fn nvrtcDestroyProgram(program: *mut *mut c_void) -> Status;
    }
}

/// Macros of one compilation: names and values.
pub type Macros = Vec<(&'static str, String)>;

/// NVRTC and its cache.
pub struct Compiler {
    api: Api,
    version: (i32, i32),
    cache: Option<PathBuf>,
}

/// Machine code and what the compiler said about it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The cubin.
    pub cubin: Vec<u8>,
    /// Registers, spills and shared memory of each function, as the assembler reports them; empty from the cache.
    pub log: String,
}

impl Compiler {
    /// Opens NVRTC; compiled kernels are kept in `cache`.
    pub fn open(search: &Search, cache: Option<PathBuf>) -> Result<Compiler, CudaError> {
        let api = Api::load(Library::open(Name::Nvrtc, search)?)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the pointers are valid for the call.
        let status = unsafe { (api.nvrtcVersion)(&mut major, &mut minor) };
        check("nvrtcVersion", status)?;
        Ok(Compiler { api, version: (major, minor), cache })
    }
    /// `13.0`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
    /// Where the library was found.
    pub fn path(&self) -> &std::path::Path {
        &self.api.library.path
    }
    /// Machine code of a kernel for an architecture, from the cache where it is there.
    pub fn cubin(&self, kernel: &Kernel, macros: &Macros, architecture: &str) -> Result<Vec<u8>, CudaError> {
        let source = source(kernel, macros);
        let place = self.cache.as_ref().map(|folder| {
            let mut digest = Sha256::new();
            digest.update(format!("{} {architecture}\n{source}", self.version()));
            let name = digest.finalize().iter().take(12).fold(String::new(), |mut name, byte| {
                write!(name, "{byte:02x}").expect("a string grows, because writing to one never fails");
                name
            });
            folder.join(format!("{}-{name}.cubin", kernel.name))
        });
        if let Some(known) = place.as_ref().and_then(|path| std::fs::read(path).ok()) {
            return Ok(known);
        }
        let cubin = self.compile(kernel, &source, architecture)?.cubin;
        if let Some(path) = place {
            // A cache that cannot be written costs time, not the run.
            let folder = path.parent().map(std::fs::create_dir_all);
            if matches!(folder, Some(Ok(()))) {
                wootz_stdx::file::write_atomic(&path, &cubin).ok();
            }
        }
        Ok(cubin)
    }
    /// Compiles afresh and returns the assembler's report too.
    pub fn report(
        &self,
        kernel: &Kernel,
        macros: &Macros,
        architecture: &str,
    ) -> Result<Compiled, CudaError> {
        self.compile(kernel, &source(kernel, macros), architecture)
    }

    fn compile(&self, kernel: &Kernel, source: &str, architecture: &str) -> Result<Compiled, CudaError> {
        let fault = |log: String| CudaError::Compile { kernel: kernel.name.to_owned(), log };
        let text = |text: &str| CString::new(text).map_err(|_| fault("a zero byte in the source".to_owned()));
        let (code, name) = (text(source)?, text(kernel.name)?);
        let mut program = std::ptr::null_mut();
        // SAFETY: strings end with a zero; there are no headers.
        let status = unsafe {
            let none = std::ptr::null();
            (self.api.nvrtcCreateProgram)(&mut program, code.as_ptr(), name.as_ptr(), 0, none, none)
        };
        check("nvrtcCreateProgram", status)?;
        let options = [
            text(&format!("--gpu-architecture={architecture}"))?,
            text("--std=c++17")?,
            text("--generate-line-info")?,
            text("--ptxas-options=-v")?,
        ];
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the program is alive and the options end with a zero.
        let status =
            unsafe { (self.api.nvrtcCompileProgram)(program, pointers.len() as i32, pointers.as_ptr()) };
        let log = self.text(program, self.api.nvrtcGetProgramLogSize, self.api.nvrtcGetProgramLog);
        let cubin = match status {
            0 => self.bytes(program, self.api.nvrtcGetCUBINSize, self.api.nvrtcGetCUBIN),
            _ => Vec::new(),
        };
        // SAFETY: created above, destroyed once.
        unsafe { (self.api.nvrtcDestroyProgram)(&mut program) };
        if cubin.is_empty() { Err(fault(log)) } else { Ok(Compiled { cubin, log }) }
    }
    fn text(&self, program: *mut c_void, size: Size, get: Get) -> String {
        String::from_utf8_lossy(&self.bytes(program, size, get)).trim_end_matches('\0').trim().to_owned()
    }
    fn bytes(&self, program: *mut c_void, size: Size, get: Get) -> Vec<u8> {
        let mut len = 0;
        // SAFETY: the program is alive; the buffer is as long as the library says.
        unsafe {
            if size(program, &mut len) != 0 {
                return Vec::new();
            }
            let mut bytes = vec![0u8; len];
            if get(program, bytes.as_mut_ptr().cast()) == 0 { bytes } else { Vec::new() }
        }
    }
}

type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> Status;
type Get = unsafe extern "C" fn(*mut c_void, *mut c_char) -> Status;

fn check(call: &'static str, status: Status) -> Result<(), CudaError> {
    if status == 0 { Ok(()) } else { Err(CudaError::Call { call, reason: format!("status {status}") }) }
}

/// Macros, prelude, what a folder shares, and source as one file.
fn source(kernel: &Kernel, macros: &Macros) -> String {
    let mut text = String::new();
    for (name, value) in macros {
        writeln!(text, "#define {name} {value}").expect("a string grows, because writing to one never fails");
    }
    text + PRELUDE + kernel.ahead + kernel.source
}
