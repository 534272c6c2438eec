//! Items become documents: the whole file where it fits, else runs of consecutive items.
//!
//! Every byte of the file belongs to exactly one tile: an item's tile reaches from its own first line to the
//! next item's, so joining tiles gives back the file. A container is opened only where it does not fit whole.
//!
//! Not covered: repeating imports or brackets in each run; a run is the file's own bytes and nothing else.

use crate::{Item, Parsed};
use std::ops::Range;

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the file.
    pub range: Range<usize>,
    /// What the part is.
    pub kind: PieceKind,
    /// Qualified names declared in it, in order of appearance, each once.
    pub symbols: Vec<String>,
}

/// What a part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// The whole file.
    File,
    /// A run of top-level items.
    Items,
    /// One item that alone is above the limit: for the caller to count, not a document.
    Oversized,
}

/// Cuts a file into pieces of at most `max_bytes`; their ranges tile it from its first to its last byte.
pub fn split(parsed: &Parsed, source: &[u8], max_bytes: usize) -> Vec<Piece> {
    let whole = 0..source.len();
    if source.len() <= max_bytes {
        let mut symbols = Vec::new();
        parsed.items.iter().for_each(|item| item.symbols("", &mut symbols));
        return vec![Piece { range: whole, kind: PieceKind::File, symbols: each_once(symbols) }];
    }
    let mut tiles = Vec::new();
    lay_tiles(&parsed.items, whole, "", source, max_bytes, &mut tiles);
    let mut pieces: Vec<Piece> = Vec::new();
    for tile in tiles {
        let fits = tile.range.len() <= max_bytes;
        match pieces.last_mut() {
            Some(last)
                if fits
                    && last.kind == PieceKind::Items
                    && tile.range.end - last.range.start <= max_bytes =>
            {
                last.range.end = tile.range.end;
                last.symbols.extend(tile.symbols);
            }
            _ => {
                let kind = if fits { PieceKind::Items } else { PieceKind::Oversized };
                pieces.push(Piece { range: tile.range, kind, symbols: tile.symbols });
            }
        }
    }
    for piece in &mut pieces {
        piece.symbols = each_once(std::mem::take(&mut piece.symbols));
    }
    pieces
}

struct Tile {
    range: Range<usize>,
    symbols: Vec<String>,
}

fn lay_tiles(
    items: &[Item],
    extent: Range<usize>,
    prefix: &str,
    source: &[u8],
    max_bytes: usize,
    tiles: &mut Vec<Tile>,
) {
    if items.is_empty() {
        tiles.push(Tile { range: extent, symbols: Vec::new() });
        return;
    }
    let mut start = extent.start;
    for (index, item) in items.iter().enumerate() {
        let end = match items.get(index + 1) {
            Some(next) => cut_before(source, item.range.end, next.range.start),
            None => extent.end,
        };
        if end - start > max_bytes && !item.members.is_empty() {
            let inner = item.qualified(prefix);
            lay_tiles(&item.members, start..end, &inner, source, max_bytes, tiles);
        } else {
            let mut symbols = Vec::new();
            item.symbols(prefix, &mut symbols);
            tiles.push(Tile { range: start..end, symbols });
        }
        start = end;
    }
}

/// Where to cut between two items: at the second one's line where nothing else stands on it.
fn cut_before(source: &[u8], previous_end: usize, start: usize) -> usize {
    let gap = &source[previous_end..start];
    match gap.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) if gap[newline + 1..].iter().all(u8::is_ascii_whitespace) => previous_end + newline + 1,
        _ => start,
    }
}

/// Overloads and several `impl` blocks repeat a name; a document lists it once.
fn each_once(mut symbols: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    symbols.retain(|symbol| seen.insert(symbol.clone()));
    symbols
}
