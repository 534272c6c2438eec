//! Bytes become UTF-8.
//!
//! UTF-8 and UTF-16 with a byte order mark say what they are. Bytes that are not UTF-8 are taken for Windows-1252
//! where they read like it: a few letters and signs alone among ASCII, no control codes, and hardly a sequence that
//! would be UTF-8. East Asian double-byte texts come in runs of high bytes and are refused, as is broken UTF-8.
//!
//! Not covered: UTF-16 and UTF-32 without a mark, other single-byte code pages (their letters would be mistaken
//! where they stand alone in a comment).

use wootz_schema::clean::Encoding;
use wootz_schema::corpus::DropReason;

/// The text of a file, and what it was converted from.
pub fn decode(bytes: Vec<u8>) -> Result<(String, Option<Encoding>), DropReason> {
    match bytes.as_slice() {
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            let text = String::from_utf8(rest.to_vec()).map_err(|_| DropReason::NotUtf8)?;
            without_zero(text).map(|text| (text, Some(Encoding::Utf8Mark)))
        }
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => without_zero(text).map(|text| (text, None)),
            Err(error) if error.as_bytes().contains(&0) => Err(DropReason::Binary),
            Err(error) if reads_like_1252(error.as_bytes()) => {
                Ok((error.as_bytes().iter().map(|byte| letter(*byte)).collect(), Some(Encoding::Windows1252)))
            }
            Err(_) => Err(DropReason::NotUtf8),
        },
    }
}

fn without_zero(text: String) -> Result<String, DropReason> {
    if text.as_bytes().contains(&0) { Err(DropReason::Binary) } else { Ok(text) }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<(String, Option<Encoding>), DropReason> {
    if !bytes.len().is_multiple_of(2) {
        return Err(DropReason::NotUtf8);
    }
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String =
        char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| DropReason::NotUtf8)?;
    // Source code is mostly ASCII in any country: what is not was no UTF-16.
    let ascii = text.bytes().filter(u8::is_ascii).count();
    if !text.is_empty() && ascii * 2 < text.chars().count() {
        return Err(DropReason::NotUtf8);
    }
    without_zero(text).map(|text| (text, Some(Encoding::Utf16)))
}

/// Whether bytes that are not UTF-8 look like Windows-1252.
fn reads_like_1252(bytes: &[u8]) -> bool {
    let (mut high, mut alone) = (0_usize, 0_usize);
    for (at, &byte) in bytes.iter().enumerate() {
        if byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0B | 0x0C | 0x1B)
            || matches!(byte, 0x7F | 0x81 | 0x8D | 0x8F | 0x90 | 0x9D)
        {
            return false;
        }
        if byte >= 0x80 {
            let is_high =
                |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| *byte >= 0x80);
            high += 1;
            alone += usize::from(!is_high(at.checked_sub(1)) && !is_high(at.checked_add(1)));
        }
    }
    // Valid sequences among the broken ones tell of a UTF-8 text that was cut or mixed.
    let sequences: usize =
        bytes.utf8_chunks().map(|chunk| chunk.valid().bytes().filter(|byte| *byte >= 0xC0).count()).sum();
    sequences * 4 <= high && alone * 10 >= high * 8 && high * 5 <= bytes.len().max(5)
}

/// A byte of Windows-1252; its five free codes stand for themselves, as in Latin-1.
fn letter(byte: u8) -> char {
    const SPECIAL: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039, 0x152,
        0x8D, 0x17D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122,
        0x161, 0x203A, 0x153, 0x9D, 0x17E, 0x178,
    ];
    match byte {
        0x80..=0x9F => {
            char::from_u32(u32::from(SPECIAL[usize::from(byte) - 0x80])).unwrap_or(char::from(byte))
        }
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<(&str, Option<Encoding>), DropReason>) {
        let decoded = decode(bytes.to_vec());
        assert_eq!(decoded, expected.map(|(text, from)| (text.to_owned(), from)), "{bytes:?}");
    }

    #[test]
    fn marks() {
        check(b"\xEF\xBB\xBFint x;", Ok(("int x;", Some(Encoding::Utf8Mark))));
        check(b"\xFF\xFEi\0;\0", Ok(("i;", Some(Encoding::Utf16))));
        check(b"\xFE\xFF\0i\0;", Ok(("i;", Some(Encoding::Utf16))));
        check(b"\xFF\xFEi", Err(DropReason::NotUtf8));
        check(b"\xFF\xFE\x00\xD8;\0", Err(DropReason::NotUtf8));
        check(b"\xFF\xFEfnfn", Err(DropReason::NotUtf8));
        check(b"\xFF\xFE", Ok(("", Some(Encoding::Utf16))));
    }

    #[test]
    fn single_bytes() {
        let from = Some(Encoding::Windows1252);
        check("// Größe\n".as_bytes(), Ok(("// Größe\n", None)));
        check(
            b"// Gr\xF6\xDFe und L\xE4nge und alles, was sonst noch so dazugeh\xF6rt\n",
            Err(DropReason::NotUtf8),
        );
        check(b"// Gr\xF6sse und L\xE4nge und alles\n", Ok(("// Grösse und Länge und alles\n", from)));
        check(b"/* \xA9 2001 Ren\xE9, it\x92s free */", Ok(("/* © 2001 René, it’s free */", from)));
    }

    #[test]
    fn broken() {
        check(b"int a\0;", Err(DropReason::Binary));
        check(b"\xE9\0", Err(DropReason::Binary));
        // Shift-JIS, UTF-8 with a byte lost, a control code.
        check(b"// \x83e\x83X\x83g\x93\xFA\x96{\x8C\xEA\n", Err(DropReason::NotUtf8));
        let mut cut = "// Größe, Länge, Höhe, Maß und mehr davon\n".as_bytes().to_vec();
        cut.remove(6);
        check(&cut, Err(DropReason::NotUtf8));
        check(b"x\x01\xE9", Err(DropReason::NotUtf8));
    }
}
