//! Row-major products as the library takes them: column by column.
//!
//! The bytes of a row-major matrix, read column-major, are its transpose. So d = op(a)·op(b) becomes dᵀ = op(b)ᵀ·op(a)ᵀ: the
//! library's A is our b, its B our a, its m our n; and what we use as stored, it uses as it reads it.

use super::{Element, Matrix, Product};

/// An operand as the library sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub rows: usize,
    pub cols: usize,
    /// Elements from one column to the next.
    pub leading: usize,
    pub transposed: bool,
    /// Elements from one matrix of a batch to the next.
    pub step: usize,
}

/// A product as the library sees it: `D[m×n] = op(A)·op(B)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Columns,
    pub b: Columns,
    pub c: Columns,
    pub d: Columns,
    pub count: usize,
}

/// The product in the library's terms, or why it is none.
pub(super) fn view(product: &Product) -> Result<View, String> {
    let Product { m, n, k, a, b, d, c, .. } = *product;
    if m == 0 || n == 0 || k == 0 {
        return Err(format!("a product of {m}x{n}x{k} is empty"));
    }
    let added = c.unwrap_or(d);
    stored("a", &a, [m, k])?;
    stored("b", &b, [k, n])?;
    for (name, matrix) in [("d", &d), ("c", &added)] {
        stored(name, matrix, [m, n])?;
        if matrix.transposed {
            return Err(format!("{name} cannot be transposed"));
        }
    }
    if added.dtype != d.dtype {
        return Err(format!("c holds {:?}, d {:?}", added.dtype, d.dtype));
    }
    if added.pointer == d.pointer && added.stride != d.stride && product.c.is_some() {
        return Err("c begins where d does, with another stride".to_owned());
    }
    elements(product)?;
    let (count, steps) = match product.batch {
        None => (1, [0; 3]),
        Some(batch) if batch.count == 0 => return Err("a batch of none".to_owned()),
        Some(batch) if batch.count > 1 && batch.d < (m - 1) * d.stride + n => {
            return Err(format!("outputs of a batch overlap, {} apart", batch.d));
        }
        Some(batch) => (batch.count, [batch.a, batch.b, batch.d]),
    };
    Ok(View {
        m: n,
        n: m,
        k,
        a: columns(&b, [k, n], steps[1]),
        b: columns(&a, [m, k], steps[0]),
        c: columns(&added, [m, n], steps[2]),
        d: columns(&d, [m, n], steps[2]),
        count,
    })
}

/// `shape` is that of the operand as it is used; stored rows are the library's columns.
fn columns(matrix: &Matrix, [rows, cols]: [usize; 2], step: usize) -> Columns {
    let [stored_rows, stored_cols] = if matrix.transposed { [cols, rows] } else { [rows, cols] };
    Columns {
        rows: stored_cols,
        cols: stored_rows,
        leading: matrix.stride,
        transposed: matrix.transposed,
        step,
    }
}

fn stored(name: &str, matrix: &Matrix, [rows, cols]: [usize; 2]) -> Result<(), String> {
    let row = if matrix.transposed { rows } else { cols };
    if matrix.stride < row {
        return Err(format!("rows of {name} overlap: {row} elements, {} apart", matrix.stride));
    }
    Ok(())
}

/// Which element types go together.
fn elements(product: &Product) -> Result<(), String> {
    use Element::{Bf16, E4m3, E5m2, F32, Other};
    let Product { a, b, d, .. } = product;
    let types = [a.dtype, b.dtype, d.dtype];
    match types {
        [Bf16, Bf16, Bf16 | F32] | [F32, F32, F32] => {}
        [E4m3, E4m3 | E5m2, Bf16 | F32] | [E5m2, E4m3, Bf16 | F32] => {
            // The matrix units read 8-bit operands along the sum only.
            if a.transposed || !b.transposed {
                return Err("8-bit operands must be stored with k as rows' length".to_owned());
            }
        }
        [Other, ..] | [_, Other, _] | [.., Other] => return Err("an element type has no product".to_owned()),
        _ => return Err(format!("no product takes {:?} and {:?} to {:?}", types[0], types[1], types[2])),
    }
    let wide = |element: Element| matches!(element, Bf16 | F32);
    if product.scales.is_some() && (wide(a.dtype) || wide(b.dtype)) {
        return Err("factors are for 8-bit operands".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::*;

    const ROWS: Matrix = Matrix { pointer: 0, dtype: Element::F32, stride: 0, transposed: false };

    /// What the library computes, by its definition: `D = alpha·op(A)·op(B) + beta·C`, everything column-major.
    fn library(product: &Product, a: &[f64], b: &[f64], c: &[f64], d: &mut [f64]) {
        let v = view(product).expect("a product");
        // The library's A is our b.
        let (a, b) = (b, a);
        let at = |of: Columns, i: usize, j: usize, batch: usize| {
            let (row, col) = if of.transposed { (j, i) } else { (i, j) };
            assert!(row < of.rows && col < of.cols, "inside the layout");
            batch * of.step + col * of.leading + row
        };
        for batch in 0..v.count {
            for i in 0..v.m {
                for j in 0..v.n {
                    let sum: f64 = (0..v.k).map(|l| a[at(v.a, i, l, batch)] * b[at(v.b, l, j, batch)]).sum();
                    let added = product.c.map_or(0.0, |_| f64::from(product.beta) * c[at(v.c, i, j, batch)]);
                    d[at(v.d, i, j, batch)] = f64::from(product.alpha) * sum + added;
                }
            }
        }
    }

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0 - 0.5).collect()
    }

    fn check(transposed: [bool; 2], spare: usize, count: usize, residual: bool) {
        let [m, n, k] = [5, 7, 3];
        let matrix = |rows: usize, cols: usize, transposed: bool| Matrix {
            stride: spare + if transposed { rows } else { cols },
            transposed,
            ..ROWS
        };
        let (a, b, d) = (matrix(m, k, transposed[0]), matrix(k, n, transposed[1]), matrix(m, n, false));
        let c = Matrix { pointer: 1, stride: n + 2, ..ROWS };
        let batch = Batch { count, a: 100, b: 0, d: 120 };
        let mut product = Product::new("test", [m, n, k], a, b, d).scaled(0.5).batched(batch);
        if residual {
            product = product.plus(2.0, c);
        }
        let [va, vb, vc] = [numbers(100 * count, 1), numbers(100, 2), numbers(120 * count, 3)];
        let mut vd = vec![f64::NAN; 120 * count];
        library(&product, &va, &vb, &vc, &mut vd);
        let read = |values: &[f64], of: Matrix, i: usize, j: usize| {
            values[if of.transposed { j * of.stride + i } else { i * of.stride + j }]
        };
        for t in 0..count {
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|l| read(&va[100 * t..], a, i, l) * read(&vb, b, l, j)).sum();
                    let added = if residual { 2.0 * read(&vc[120 * t..], c, i, j) } else { 0.0 };
                    let (expected, found) = (0.5 * sum + added, read(&vd[120 * t..], d, i, j));
                    assert!((expected - found).abs() < 1e-12, "{transposed:?} {i},{j}: {expected} {found}");
                }
            }
        }
    }

    #[test]
    fn the_library_computes_the_row_major_product() {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            check(transposed, 0, 1, false);
            check(transposed, 3, 1, true);
            check(transposed, 1, 3, true);
        }
    }

    #[test]
    fn what_is_no_product_says_why() {
        let row = |stride: usize, dtype: Element| Matrix { stride, dtype, ..ROWS };
        let good = Product::new(
            "test",
            [4, 8, 16],
            row(16, Element::Bf16),
            row(8, Element::Bf16),
            row(8, Element::F32),
        );
        assert!(view(&good).is_ok());
        let refused = |product: Product, word: &str| {
            let reason = view(&product).expect_err("no product");
            assert!(reason.contains(word), "{reason}");
        };
        refused(Product { k: 0, ..good.clone() }, "empty");
        refused(Product { a: row(15, Element::Bf16), ..good.clone() }, "rows of a overlap");
        refused(Product { b: row(8, Element::F32), ..good.clone() }, "no product takes");
        refused(Product { d: good.d.transposed(), ..good.clone() }, "transposed");
        refused(good.clone().plus(1.0, row(8, Element::Bf16)), "c holds");
        refused(Product { b: row(8, Element::Other), ..good.clone() }, "element type");
        refused(good.clone().batched(Batch { count: 2, a: 64, b: 0, d: 31 }), "overlap");
        let eight = Product { a: row(16, Element::E4m3), b: row(8, Element::E4m3), ..good };
        refused(eight.clone(), "stored with k");
        assert!(view(&Product { b: row(16, Element::E4m3).transposed(), ..eight }).is_ok());
    }
}
