//! What the kernel can do with a product's sums, and the settings it is compiled and launched with.

use super::super::{Element, Product};
use crate::compiler::Macros;

/// What becomes of the sums on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// d = sums.
    Plain,
    /// d = sums + c.
    Residual,
    /// d = max(sums, 0)².
    ReluSquared,
    /// d = 2 √c · sums.
    ReluSquaredBackward,
    /// d += sums, in binary32.
    Accumulate,
}

/// Settings of the kernel; a name stands for one set of them for ever, since choices are kept by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Its name in reports and in the file of choices.
    pub name: &'static str,
    /// Columns of a block's tile.
    pub(super) tile_n: u32,
    /// Depth of the ring of operands.
    pub(super) stages: u32,
    /// Boxes of 64 columns in which a warp hands out its results.
    pub(super) buffers: u32,
    /// Blocks that share b's tile.
    pub(super) cluster: u32,
    /// Steps of 64 along k by which one half of a block goes ahead of the other.
    pub(super) lead: u32,
    /// Rows of cluster tiles that are walked together.
    pub(super) band: u32,
    /// Whether a tile's results go out by halves, beside the products of the other half and of the next tile.
    pub(super) halves: bool,
    /// Whether roots are taken beside the products, and rounded to bf16.
    pub(super) roots: bool,
}

const fn wide(name: &'static str, [stages, buffers, cluster, lead, band]: [u32; 5]) -> Variant {
    Variant { name, tile_n: 256, stages, buffers, cluster, lead, band, halves: false, roots: false }
}

const DEEP: Variant = wide("deep", [4, 2, 2, 0, 1]);
const LED: Variant = wide("led", [3, 4, 2, 2, 1]);
const ALONE: Variant = wide("alone", [3, 4, 1, 0, 1]);
const NARROW: Variant = Variant { name: "narrow", tile_n: 128, ..wide("narrow", [6, 2, 2, 0, 1]) };
const HALVES: Variant = Variant { halves: true, ..wide("halves", [4, 2, 2, 0, 1]) };
const ROOTS: Variant = Variant { roots: true, ..wide("roots", [3, 4, 1, 0, 1]) };
const ROOTS_HALVES: Variant = Variant { halves: true, roots: true, ..wide("roots-halves", [3, 4, 2, 0, 1]) };
const ROOTS_HALVES_ALONE: Variant =
    Variant { halves: true, roots: true, ..wide("roots-halves-alone", [3, 4, 1, 0, 1]) };
const SUMS: Variant = wide("sums", [4, 0, 2, 0, 1]);
const SUMS_BANDED: Variant = wide("sums-banded", [4, 0, 2, 0, 20]);

impl Epilogue {
    /// What a product without an activation needs; none: the kernel has nothing for it.
    pub(in super::super) fn of(product: &Product) -> Option<Epilogue> {
        match (product.d.dtype, product.c) {
            (Element::Bf16, None) => Some(Epilogue::Plain),
            (Element::Bf16, Some(_)) if product.beta == 1.0 => Some(Epilogue::Residual),
            (Element::F32, Some(c)) if c == product.d && product.beta == 1.0 => Some(Epilogue::Accumulate),
            _ => None,
        }
    }
    /// Variants worth a trial, the one to take without a trial first.
    pub fn variants(self) -> &'static [Variant] {
        match self {
            Epilogue::Plain | Epilogue::ReluSquared => &[DEEP, HALVES],
            Epilogue::Residual => &[LED],
            Epilogue::ReluSquaredBackward => &[ALONE, NARROW, ROOTS, ROOTS_HALVES, ROOTS_HALVES_ALONE],
            Epilogue::Accumulate => &[SUMS, SUMS_BANDED],
        }
    }
    /// The macro's value.
    pub(super) fn number(self) -> u32 {
        self as u32
    }
    pub(super) fn reads_extra(self) -> bool {
        matches!(self, Epilogue::Residual | Epilogue::ReluSquaredBackward)
    }
    /// Its word in the file of choices.
    pub(super) fn word(self) -> &'static str {
        match self {
            Epilogue::Plain => "plain",
            Epilogue::Residual => "residual",
            Epilogue::ReluSquared => "relu_squared",
            Epilogue::ReluSquaredBackward => "relu_squared_backward",
            Epilogue::Accumulate => "accumulate",
        }
    }
}

impl Variant {
    /// How a kept choice names it.
    pub(in super::super) fn text(&self) -> String {
        format!("own {}", self.name)
    }
    /// The variant that a kept choice names.
    pub(in super::super) fn of_text(text: &str, epilogue: Epilogue) -> Option<&'static Variant> {
        let name = text.strip_prefix("own ")?;
        epilogue.variants().iter().find(|variant| variant.name == name)
    }
    /// Dynamic shared memory that the kernel lays out: ring, boxes and barriers behind a swizzle pattern's alignment.
    pub(super) fn shared_bytes(&self) -> u32 {
        let stage = (super::TILE_M + self.tile_n) * 2 * super::TILE_K;
        let boxes = super::CONSUMER_WARPS * self.buffers * 16 * 128;
        1024 + self.stages * stage + boxes + (2 * self.stages + super::CONSUMER_WARPS) * 8
    }
    pub(super) fn macros(&self, epilogue: Epilogue, [a_mn, b_mn]: [bool; 2]) -> Macros {
        let values = [
            ("EPILOGUE", epilogue.number()),
            ("A_MN", u32::from(a_mn)),
            ("B_MN", u32::from(b_mn)),
            ("TILE_N", self.tile_n),
            ("STAGES", self.stages),
            ("BUFFERS", self.buffers),
            ("CLUSTER", self.cluster),
            ("LEAD", self.lead),
            ("SPLIT", u32::from(self.halves)),
            ("ROOTS", u32::from(self.roots)),
        ];
        values.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Epilogue; 5] = [
        Epilogue::Plain,
        Epilogue::Residual,
        Epilogue::ReluSquared,
        Epilogue::ReluSquaredBackward,
        Epilogue::Accumulate,
    ];

    #[test]
    fn a_variant_is_found_by_its_text() {
        for epilogue in ALL {
            for variant in epilogue.variants() {
                assert_eq!(Variant::of_text(&variant.text(), epilogue), Some(variant));
            }
        }
        assert_eq!(Variant::of_text("own none", Epilogue::Plain), None);
        assert_eq!(Variant::of_text("deep", Epilogue::Plain), None);
    }

    /// The kernel's own static assertions, which NVRTC checks on a machine with the compiler.
    #[test]
    fn every_variant_fits_a_block() {
        for epilogue in ALL {
            assert_eq!(epilogue as u32, ALL.iter().position(|e| *e == epilogue).expect("one of all") as u32);
            for variant in epilogue.variants() {
                assert!(variant.shared_bytes() <= 232_448, "{}", variant.name);
                assert!(
                    !epilogue.reads_extra() || variant.buffers == variant.tile_n / 64,
                    "{}",
                    variant.name
                );
                assert!(variant.lead < variant.stages, "{}", variant.name);
                let halved = variant.tile_n == 256 && variant.lead == 0 && epilogue != Epilogue::Accumulate;
                assert!(!variant.halves || halved, "{}", variant.name);
                assert!(!variant.roots || epilogue == Epilogue::ReluSquaredBackward, "{}", variant.name);
            }
        }
        assert_eq!(DEEP.shared_bytes(), 230_528);
        assert_eq!(LED.shared_bytes(), 214_128);
        assert_eq!(SUMS.shared_bytes(), 197_760);
    }
}
