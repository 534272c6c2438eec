//! A product's descriptors, made once, and what can be asked of the library with them.

use super::api::{Algorithm, COMPUTE_32F, Handle, Heuristic, Lt, config, desc, dtype, layout, preference};
use super::key::alignment;
use super::mapping::{Columns, View, view};
use super::{Element, Product};
use crate::driver::{CudaError, Pointer, Status, Stream};
use crate::launch::Scratch;
use std::ffi::c_void;
use std::sync::Arc;

/// A product in the library's terms, with its operands' addresses.
pub(super) struct Plan {
    lt: Arc<Lt>,
    desc: Owned,
    a: Owned,
    b: Owned,
    c: Owned,
    d: Owned,
    product: Product,
}

// SAFETY: the descriptors belong to this value alone and are not changed after it is made.
unsafe impl Send for Plan {}

/// A descriptor, destroyed with this value.
struct Owned {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle) -> Status,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: created by the library, destroyed once.
        unsafe { (self.destroy)(self.handle) };
    }
}

type Set = unsafe extern "C" fn(Handle, i32, *const c_void, usize) -> Status;

impl Owned {
    fn set<T: Copy>(&self, lt: &Lt, set: Set, attribute: i32, value: T) -> Result<(), CudaError> {
        // SAFETY: the descriptor is alive; the library copies the value, whose size it checks.
        let status = unsafe { set(self.handle, attribute, (&raw const value).cast(), size_of::<T>()) };
        lt.check("cublasLt…SetAttribute", status)
    }
}

impl Plan {
    pub(super) fn of(lt: &Arc<Lt>, product: &Product) -> Result<Plan, CudaError> {
        let view = view(product).map_err(|reason| CudaError::unsupported(product.name, reason))?;
        let elements = [product.b.dtype, product.a.dtype, product.d.dtype];
        let [a, b, d] = elements.map(number);
        Ok(Plan {
            desc: description(lt, product, &view)?,
            a: matrix(lt, a, view.a, view.count)?,
            b: matrix(lt, b, view.b, view.count)?,
            c: matrix(lt, d, view.c, view.count)?,
            d: matrix(lt, d, view.d, view.count)?,
            lt: lt.clone(),
            product: product.clone(),
        })
    }

    /// Queues the product.
    pub(super) fn run(
        &self,
        algorithm: &Algorithm,
        scratch: Scratch,
        stream: &Stream,
    ) -> Result<(), CudaError> {
        let p = &self.product;
        let (added, beta) = p.c.map_or((p.d.pointer, 0.0), |c| (c.pointer, p.beta));
        let address = |pointer: Pointer| pointer as *const c_void;
        // SAFETY: the descriptors are alive and describe memory that the owner of the launch keeps; factors are read
        // before the call returns.
        let status = unsafe {
            (self.lt.api.cublasLtMatmul)(
                self.lt.handle,
                self.desc.handle,
                (&raw const p.alpha).cast(),
                address(p.b.pointer),
                self.a.handle,
                address(p.a.pointer),
                self.b.handle,
                (&raw const beta).cast(),
                address(added),
                self.c.handle,
                p.d.pointer as *mut c_void,
                self.d.handle,
                algorithm,
                scratch.pointer as *mut c_void,
                scratch.bytes,
                stream.raw(),
            )
        };
        // The last of what the library queues for a product is a kernel, its own or that which adds up parts.
        stream.queued_kernel();
        self.lt.check("cublasLtMatmul", status)
    }

    /// The library's own suggestions, best first by its estimate.
    pub(super) fn heuristics(
        &self,
        count: usize,
        workspace_bytes: usize,
        schemes: u32,
    ) -> Result<Vec<Heuristic>, CudaError> {
        let preference = self.preference(workspace_bytes, schemes)?;
        let mut found = vec![Heuristic::NONE; count];
        let mut returned = 0;
        // SAFETY: all handles are alive, and there is room for `count` results.
        let status = unsafe {
            (self.lt.api.cublasLtMatmulAlgoGetHeuristic)(
                self.lt.handle,
                self.desc.handle,
                self.a.handle,
                self.b.handle,
                self.c.handle,
                self.d.handle,
                preference.handle,
                count as i32,
                found.as_mut_ptr(),
                &mut returned,
            )
        };
        const NOT_SUPPORTED: Status = 15;
        if status != NOT_SUPPORTED {
            self.lt.check("cublasLtMatmulAlgoGetHeuristic", status)?;
        }
        found.truncate(returned.max(0) as usize);
        found.retain(|one| one.state == 0 && one.workspace_bytes <= workspace_bytes);
        Ok(found)
    }

    /// Scratch memory that an algorithm needs for this product; none: it cannot compute it.
    pub(super) fn workspace(&self, algorithm: &Algorithm) -> Option<usize> {
        let mut result = Heuristic::NONE;
        // SAFETY: all handles are alive; a description that is none is refused.
        let status = unsafe {
            (self.lt.api.cublasLtMatmulAlgoCheck)(
                self.lt.handle,
                self.desc.handle,
                self.a.handle,
                self.b.handle,
                self.c.handle,
                self.d.handle,
                algorithm,
                &mut result,
            )
        };
        (status == 0).then_some(result.workspace_bytes)
    }

    /// An algorithm's setting; 0 where it has none.
    pub(super) fn get(&self, algorithm: &Algorithm, (attribute, bytes): (i32, usize)) -> u32 {
        let (mut value, mut written) = (0u32, 0);
        // SAFETY: the value has room for four bytes, which is the most that is asked for.
        unsafe {
            (self.lt.api.cublasLtMatmulAlgoConfigGetAttribute)(
                algorithm,
                attribute,
                (&raw mut value).cast(),
                bytes,
                &mut written,
            );
        }
        value
    }

    /// The algorithm with another setting; none: it does not take it.
    pub(super) fn with(
        &self,
        algorithm: &Algorithm,
        (attribute, bytes): (i32, usize),
        value: u32,
    ) -> Option<Algorithm> {
        let mut changed = *algorithm;
        // SAFETY: the value has four bytes, of which the first `bytes` are read: little-endian, like the device's host.
        let status = unsafe {
            (self.lt.api.cublasLtMatmulAlgoConfigSetAttribute)(
                &mut changed,
                attribute,
                (&raw const value).cast(),
                bytes,
            )
        };
        (status == 0).then_some(changed)
    }

    /// What an algorithm can be set to: one word, or a list of them.
    pub(super) fn capabilities(&self, algorithm: &Algorithm, attribute: i32) -> Vec<u32> {
        let mut words = vec![0u32; 1024];
        let (mut bytes, mut written) = (0, 0);
        let get = self.lt.api.cublasLtMatmulAlgoCapGetAttribute;
        // SAFETY: with no room the library only says how much it needs; then there is as much, within the list's.
        unsafe {
            if get(algorithm, attribute, std::ptr::null_mut(), 0, &mut bytes) != 0 || bytes > 4 * words.len()
            {
                return Vec::new();
            }
            if get(algorithm, attribute, words.as_mut_ptr().cast(), bytes, &mut written) != 0 {
                return Vec::new();
            }
        }
        words.truncate(written / 4);
        words
    }

    /// The algorithm's settings in words.
    pub(super) fn describe(&self, algorithm: &Algorithm) -> String {
        let get = |setting| self.get(algorithm, setting);
        format!(
            "id {} tile {} stages {} cluster {} split {} scheme {} swizzle {} custom {}",
            get(config::ID),
            get(config::TILE),
            get(config::STAGES),
            get(config::CLUSTER),
            get(config::SPLIT_K),
            get(config::REDUCTION_SCHEME),
            get(config::SWIZZLING),
            get(config::CUSTOM)
        )
    }

    fn preference(&self, workspace_bytes: usize, schemes: u32) -> Result<Owned, CudaError> {
        let (lt, api, p) = (&self.lt, &self.lt.api, &self.product);
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (api.cublasLtMatmulPreferenceCreate)(&mut handle) };
        lt.check("cublasLtMatmulPreferenceCreate", status)?;
        let made = Owned { handle, destroy: api.cublasLtMatmulPreferenceDestroy };
        let set = api.cublasLtMatmulPreferenceSetAttribute;
        made.set(lt, set, preference::WORKSPACE_BYTES, workspace_bytes as u64)?;
        made.set(lt, set, preference::REDUCTION_SCHEMES, schemes)?;
        let added = p.c.unwrap_or(p.d);
        for (attribute, matrix) in [
            (preference::ALIGNMENT_A, p.b),
            (preference::ALIGNMENT_B, p.a),
            (preference::ALIGNMENT_C, added),
            (preference::ALIGNMENT_D, p.d),
        ] {
            made.set(lt, set, attribute, alignment(&matrix) as u32)?;
        }
        Ok(made)
    }
}

fn number(element: Element) -> i32 {
    match element {
        Element::Bf16 => dtype::BF16,
        Element::E4m3 => dtype::E4M3,
        Element::E5m2 => dtype::E5M2,
        Element::F32 | Element::Other => dtype::F32,
    }
}

fn description(lt: &Arc<Lt>, product: &Product, view: &View) -> Result<Owned, CudaError> {
    let mut handle = std::ptr::null_mut();
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { (lt.api.cublasLtMatmulDescCreate)(&mut handle, COMPUTE_32F, dtype::F32) };
    lt.check("cublasLtMatmulDescCreate", status)?;
    let made = Owned { handle, destroy: lt.api.cublasLtMatmulDescDestroy };
    let set = lt.api.cublasLtMatmulDescSetAttribute;
    made.set(lt, set, desc::TRANSPOSE_A, i32::from(view.a.transposed))?;
    made.set(lt, set, desc::TRANSPOSE_B, i32::from(view.b.transposed))?;
    if let Some(scales) = product.scales {
        made.set(lt, set, desc::A_SCALE_POINTER, scales.b)?;
        made.set(lt, set, desc::B_SCALE_POINTER, scales.a)?;
        // Sums of forward products stay in the matrix unit's 14 bits of mantissa between steps, which is what others do;
        // gradients are summed with care.
        let forward = product.a.dtype == Element::E4m3 && product.b.dtype == Element::E4m3;
        made.set(lt, set, desc::FAST_ACCUMULATION, i8::from(forward))?;
    }
    Ok(made)
}

fn matrix(lt: &Arc<Lt>, dtype: i32, columns: Columns, count: usize) -> Result<Owned, CudaError> {
    let mut handle = std::ptr::null_mut();
    let (rows, cols) = (columns.rows as u64, columns.cols as u64);
    // SAFETY: the pointer is valid for the call.
    let status = unsafe {
        (lt.api.cublasLtMatrixLayoutCreate)(&mut handle, dtype, rows, cols, columns.leading as i64)
    };
    lt.check("cublasLtMatrixLayoutCreate", status)?;
    let made = Owned { handle, destroy: lt.api.cublasLtMatrixLayoutDestroy };
    if count > 1 {
        let set = lt.api.cublasLtMatrixLayoutSetAttribute;
        made.set(lt, set, layout::BATCH_COUNT, count as i32)?;
        made.set(lt, set, layout::BATCH_STRIDE, columns.step as i64)?;
    }
    Ok(made)
}
