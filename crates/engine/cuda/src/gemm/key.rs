//! What the choice of an algorithm depends on, and its text in the file of choices.

use super::{Element, Matrix, Product};
use std::fmt::{self, Display, Formatter};

/// A product without its addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    shape: [usize; 3],
    a: Form,
    b: Form,
    d: Form,
    added: Added,
    /// Count, and strides of a, b and d.
    batch: Option<[usize; 4]>,
    scaled: bool,
    deterministic: bool,
}

/// An operand without its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    dtype: Element,
    transposed: bool,
    stride: usize,
    alignment: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Added {
    Nothing,
    /// `c` is `d`.
    InPlace,
    /// `c` has a place of its own.
    Other(Form),
}

impl Key {
    pub(super) fn of(product: &Product, deterministic: bool) -> Key {
        let added = match product.c {
            None => Added::Nothing,
            Some(c) if c.pointer == product.d.pointer => Added::InPlace,
            Some(c) => Added::Other(Form::of(&c)),
        };
        Key {
            shape: [product.m, product.n, product.k],
            a: Form::of(&product.a),
            b: Form::of(&product.b),
            d: Form::of(&product.d),
            added,
            batch: product.batch.map(|batch| [batch.count, batch.a, batch.b, batch.d]),
            scaled: product.scales.is_some(),
            deterministic,
        }
    }
    /// The key of the same product where algorithms may be timed.
    pub(super) fn timed(&self) -> Key {
        Key { deterministic: false, ..self.clone() }
    }
}

impl Form {
    fn of(matrix: &Matrix) -> Form {
        Form {
            dtype: matrix.dtype,
            transposed: matrix.transposed,
            stride: matrix.stride,
            alignment: alignment(matrix),
        }
    }
}

/// Bytes to whose multiple a matrix is aligned; no algorithm asks for more than 256.
pub(super) fn alignment(matrix: &Matrix) -> usize {
    1 << matrix.pointer.trailing_zeros().min(8)
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [m, n, k] = self.shape;
        write!(f, "{m}x{n}x{k} a={} b={} d={}", self.a, self.b, self.d)?;
        match self.added {
            Added::Nothing => {}
            Added::InPlace => write!(f, " c=d")?,
            Added::Other(c) => write!(f, " c={c}")?,
        }
        if let Some([count, a, b, d]) = self.batch {
            write!(f, " batch={count}:{a}:{b}:{d}")?;
        }
        if self.scaled {
            write!(f, " scaled")?;
        }
        if self.deterministic { write!(f, " deterministic") } else { Ok(()) }
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            Element::Bf16 => "bf16",
            Element::F32 => "f32",
            Element::E4m3 => "e4m3",
            Element::E5m2 => "e5m2",
            Element::Other => "other",
        };
        let transposed = if self.transposed { "t" } else { "n" };
        write!(f, "{dtype}:{transposed}:{}:{}", self.stride, self.alignment)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::*;

    #[test]
    fn a_key_is_all_of_the_product_but_its_addresses() {
        let matrix = |pointer, dtype, stride| Matrix { pointer, dtype, stride, transposed: false };
        let product = Product::new(
            "gemm",
            [64, 32, 16],
            matrix(0x1000, Element::Bf16, 16),
            matrix(0x2010, Element::Bf16, 16).transposed(),
            matrix(0x3000, Element::F32, 32),
        );
        let text = |product: &Product| Key::of(product, false).to_string();
        let plain = text(&product);
        assert_eq!(plain, "64x32x16 a=bf16:n:16:256 b=bf16:t:16:16 d=f32:n:32:256");
        let moved = Product { a: matrix(0x9000, Element::Bf16, 16), name: "other", ..product.clone() };
        assert_eq!(text(&moved), plain);
        assert_eq!(text(&product.clone().accumulated()), format!("{plain} c=d"));
        let c = matrix(0x4004, Element::F32, 40);
        assert_eq!(text(&product.clone().plus(1.0, c)), format!("{plain} c=f32:n:40:4"));
        let batch = Batch { count: 3, a: 1024, b: 0, d: 2048 };
        assert_eq!(text(&product.clone().batched(batch)), format!("{plain} batch=3:1024:0:2048"));
        let fixed = Key::of(&product, true);
        assert_eq!(fixed.to_string(), format!("{plain} deterministic"));
        assert_eq!(fixed.timed().to_string(), plain);
    }
}
