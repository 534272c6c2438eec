//! The laws, on code made up of fragments, on real code that was damaged, and on any bytes.

use super::laws::hold;
use proptest::prelude::*;
use wootz_chunk::languages::LANGUAGES;

/// A file of each language, in the order of the languages; the first byte is the number of the language.
const SEEDS: [&[u8]; 8] = [
    include_bytes!("../seeds/c"),
    include_bytes!("../seeds/cpp"),
    include_bytes!("../seeds/go"),
    include_bytes!("../seeds/python"),
    include_bytes!("../seeds/rust"),
    include_bytes!("../seeds/javascript"),
    include_bytes!("../seeds/tsx"),
    include_bytes!("../seeds/typescript"),
];

/// Fragments of code of all languages: joined at random they are far more hostile than random letters.
const FRAGMENTS: &[&str] = &[
    "fn a() {}\n",
    "struct S;",
    "impl S {",
    "}",
    "{",
    "namespace n {",
    "#ifdef X\n",
    "#if A && \\\n B\n",
    "#elif C\n",
    "#else\n",
    "#endif\n",
    "#define M(x) {\n",
    "// c\n",
    "// c \\\n",
    "/* c */",
    "/*",
    "*/",
    "\"",
    "'",
    "`",
    "def f():\n    pass\n",
    "@dec\n",
    "class K:\n",
    "class K {};",
    "x = 1\n",
    "func F() {\n",
    "func (t *T[K]) M() {}\n",
    "package p\n",
    "type T struct{}\n",
    "export ",
    "const a = 1;\n",
    "namespace N { let x }",
    "declare module 'm' {",
    ";",
    "\n\n",
    "  ",
    "\t",
    "é",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    "template <",
    "template <class T> ",
    "operator bool()",
    "A::f(int)",
    "extern \"C\" ",
    "#[a]\n",
    "#![a]\n",
    "//! d\n",
    "mod m {\n",
    "extern \"C\" {",
    "r#\"",
    "R\"x(",
    ")x\"",
    "f\"{",
    "<a>",
    "=>",
    "=",
    ",",
    "\\\n",
    "\r\n",
    "\r",
    "\0",
    "\u{b}",
    "\u{feff}",
    "\u{2028}",
];

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        20 => prop::sample::select(FRAGMENTS).prop_map(|fragment| fragment.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

/// Damage to a file, places and lengths as shares of it.
#[derive(Debug, Clone)]
enum Damage {
    Delete(f64, usize),
    Insert(f64, Vec<u8>),
    Duplicate(f64, usize),
    Swap(f64, f64, usize),
    Truncate(f64),
    WindowsLines,
    OneLine,
    ByteOrderMark,
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0.0..1.0f64;
    prop_oneof![
        4 => (at(), 1..60usize).prop_map(|(at, length)| Damage::Delete(at, length)),
        4 => (at(), fragments()).prop_map(|(at, text)| Damage::Insert(at, text)),
        4 => (at(), prop::sample::select(FRAGMENTS))
            .prop_map(|(at, fragment)| Damage::Insert(at, fragment.as_bytes().to_vec())),
        3 => (at(), 1..400usize).prop_map(|(at, length)| Damage::Duplicate(at, length)),
        3 => (at(), at(), 1..100usize).prop_map(|(a, b, length)| Damage::Swap(a, b, length)),
        1 => at().prop_map(Damage::Truncate),
        1 => Just(Damage::WindowsLines),
        1 => Just(Damage::OneLine),
        1 => Just(Damage::ByteOrderMark),
    ]
}

impl Damage {
    fn apply(&self, text: &mut Vec<u8>) {
        let place = |share: f64, text: &[u8]| (share * text.len() as f64) as usize;
        let stretch = |share: f64, length: usize, text: &[u8]| {
            let start = place(share, text);
            start..(start + length).min(text.len())
        };
        match self {
            Damage::Delete(at, length) => {
                text.drain(stretch(*at, *length, text));
            }
            Damage::Insert(at, inserted) => {
                let at = place(*at, text);
                text.splice(at..at, inserted.iter().copied());
            }
            Damage::Duplicate(at, length) => {
                let copied = text[stretch(*at, *length, text)].to_vec();
                let at = stretch(*at, *length, text).end;
                text.splice(at..at, copied);
            }
            Damage::Swap(first, second, length) => {
                let moved: Vec<u8> = text.drain(stretch(*first, *length, text)).collect();
                let at = place(*second, text);
                text.splice(at..at, moved);
            }
            Damage::Truncate(at) => text.truncate(place(*at, text)),
            Damage::WindowsLines => {
                *text = text.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
            }
            Damage::OneLine => text.retain(|byte| *byte != b'\n'),
            Damage::ByteOrderMark => {
                text.splice(0..0, "\u{feff}".bytes());
            }
        }
    }
}

#[test]
fn the_laws_hold_for_whole_files() {
    for (number, (seed, language)) in SEEDS.iter().zip(LANGUAGES).enumerate() {
        assert_eq!(usize::from(seed[0] - b'0'), number);
        let parsed = wootz_chunk::Chunker::new().parse_whole(*language, &seed[1..]);
        assert!(parsed.items.len() > 3 || number == 1, "{} is read", language.name());
        hold(*language, &seed[1..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_laws_hold_for_fragments(language in 0..LANGUAGES.len(), source in fragments()) {
        hold(LANGUAGES[language], &source);
    }

    #[test]
    fn the_laws_hold_for_damaged_files(
        language in 0..LANGUAGES.len(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut source = SEEDS[language][1..].to_vec();
        damages.iter().for_each(|damage| damage.apply(&mut source));
        hold(LANGUAGES[language], &source);
    }

    #[test]
    fn the_laws_hold_for_any_bytes(
        language in 0..LANGUAGES.len(),
        source in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        hold(LANGUAGES[language], &source);
    }

    #[test]
    fn the_laws_hold_for_any_text(language in 0..LANGUAGES.len(), source in ".{0,200}") {
        hold(LANGUAGES[language], source.as_bytes());
    }
}
