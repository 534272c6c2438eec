//! What an item is to a slice: a few numbers, so that following names costs lookups in arrays.

use std::ops::Range;

/// No bracket, no scope.
pub(super) const NONE: u32 = u32::MAX;

/// An item of a file, as slices see it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// File it stands in.
    pub file: u32,
    /// Bytes of the file.
    pub text: Range<u32>,
    pub kind: Kind,
    /// The bracket around it, [`NONE`] at the top of its file.
    pub bracket: u32,
    pub traits: Traits,
    /// Its part of the pool of names.
    pub names: Range<u32>,
    /// Its part of the pool of words.
    pub words: Range<u32>,
    pub parameters: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `#include`.
    Include,
    /// `#define`.
    Macro,
    /// `#undef`.
    Undefine,
    /// `#pragma pack` and other directives that change what follows.
    Layout,
    /// `using namespace`.
    Opening,
    /// A using declaration, a namespace alias.
    Import,
    /// A type with its body.
    Type,
    /// A type without its body.
    Forward,
    /// A typedef or alias.
    Alias,
    /// A variable or constant.
    Global,
    /// A function without its body.
    Prototype,
    /// A function with its body.
    Function,
    /// An explicit specialisation or instantiation.
    Specialization,
    /// A static assertion.
    Assertion,
    /// A macro invoked at the top of a file.
    Call,
    /// What no slice needs: comments, the include guard's definition, `#error`.
    Idle,
    /// What could not be read.
    Unknown,
}

/// What a look at an entry's head tells, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Traits(u16);

impl Traits {
    /// A template: names in it may be looked up where it is used.
    pub const TEMPLATE: Traits = Traits(1);
    /// `static`: not the same as one of that name in another file.
    pub const LOCAL: Traits = Traits(2);
    /// `constexpr`, `auto` and their like: a prototype does not stand for it.
    pub const NEEDS_BODY: Traits = Traits(4);
    /// The name it declares has a scope: `A::f`.
    pub const SCOPED: Traits = Traits(8);
    /// A macro that the system's headers may read: its name begins with `_`.
    pub const FEATURE: Traits = Traits(16);
    /// An angle include.
    pub const ANGLE: Traits = Traits(32);
    /// A blank line follows in the file.
    pub const BLANK_AFTER: Traits = Traits(64);
    /// An operator at the top of a file or namespace.
    pub const OPERATOR: Traits = Traits(128);
    /// An include that means something else each time.
    pub const TEXTUAL: Traits = Traits(256);

    pub fn has(self, other: Traits) -> bool {
        self.0 & other.0 != 0
    }

    pub fn add(&mut self, other: Traits) {
        self.0 |= other.0;
    }
}

/// A bracket around entries: a namespace, `extern "C"`, one branch of an `#if`, a pair of macros that open and close.
#[derive(Debug, Clone)]
pub(super) struct Bracket {
    /// File it stands in.
    pub file: u32,
    /// The bracket around this one.
    pub parent: u32,
    /// The text that opens it.
    pub open: Range<u32>,
    /// The text that closes it; empty where the bracket around it ends with it.
    pub close: Range<u32>,
    pub kind: BracketKind,
    /// Names it declares: of a namespace.
    pub names: Range<u32>,
    /// Words of its condition or macros.
    pub words: Range<u32>,
}

/// What a bracket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BracketKind {
    Namespace,
    Linkage,
    Branch,
    Macros,
}

/// A name as an entry declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// Its last part: a symbol.
    pub symbol: u32,
    /// The part before, or [`NONE`].
    pub scope: u32,
}

/// A word that an entry's text mentions: a symbol, and how it is mentioned, all ways together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mention(pub u32);

impl Mention {
    /// By itself, or in a scope that may be the project's.
    pub const PLAIN: u32 = 1;
    /// After `.` or `->`.
    pub const MEMBER: u32 = 2;
    /// Before `(`.
    pub const CALL: u32 = 4;
    /// Outside the body.
    pub const HEAD: u32 = 8;
    /// Bits of the ways.
    pub const BITS: u32 = 4;

    pub fn new(symbol: u32, ways: u32) -> Mention {
        Mention(symbol << Mention::BITS | ways)
    }

    pub fn symbol(self) -> u32 {
        self.0 >> Mention::BITS
    }

    pub fn is(self, way: u32) -> bool {
        self.0 & way != 0
    }
}
