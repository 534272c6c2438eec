//! The `tokenizers` package reads our file and gives our ids.

use std::path::{Path, PathBuf};
use std::process::Command;
use wootz_schema::progress::Silent;
use wootz_tokenizer::{TokenizerOptions, Trainer};

/// Reads the tokenizer and documents, writes ids and decoded text.
const SCRIPT: &str = r#"
import json, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
documents = json.load(open(sys.argv[2], encoding="utf-8"))
encoded = tokenizer.encode_batch(documents)
assert [tokenizer.decode(e.ids) for e in encoded] == documents, "decode(encode(text)) != text"
specials = {name: tokenizer.token_to_id(name) for name in json.loads(sys.argv[4])}
assert tokenizer.encode("a<|bos|>b").ids[1] == specials["<|bos|>"]
json.dump({"ids": [e.ids for e in encoded], "specials": specials, "vocab_size": tokenizer.get_vocab_size()}, open(sys.argv[3], "w"))
"#;

fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the repository's root");
    let python = root.join(".venv/bin/python");
    let has_package = Command::new(&python).args(["-c", "import tokenizers"]).output();
    let ready = has_package.as_ref().is_ok_and(|output| output.status.success());
    assert!(ready, "{} has no package `tokenizers`: run dev/setup.sh once", python.display());
    python
}

/// Text that is not code: scripts, digits, marks, emoji and odd white space, mixed by a fixed rule.
fn mixed_text(bytes: usize) -> Vec<String> {
    let words = [
        "don't",
        "I'LL",
        "we'ſe",
        "naïve",
        "Straße",
        "ПРИВЕТ",
        "мир",
        "日本語のテキスト",
        "中文",
        "한국어",
        "العربية",
        "٣٤٥",
        "१२३४",
        "x²+y³",
        "½",
        "Ⅷ",
        "\u{301}e\u{301}",
        "👩‍💻",
        "🎉🎉",
        "\u{a0}",
        "\u{2003}",
        "\u{85}",
        "\t\t",
        "\r\n\r\n",
        "   ",
        "\n  \n",
        "…—«»",
        "12345",
        "3.14159",
        "0xFF_u8",
        "''",
        "'s",
        "ǅungla",
        "𝔘𝔫𝔦",
        "\u{200b}",
        "\u{feff}",
        "ಠ_ಠ",
        "\u{1f1e6}\u{1f1e8}",
        "\u{0}",
        "\u{7f}",
    ];
    let mut documents = Vec::new();
    let (mut total, mut state) = (0, 7u64);
    while total < bytes {
        let mut text = String::new();
        while text.len() < 4000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            if state >> 62 != 0 {
                text.push(' ');
            }
            if state >> 58 & 15 == 3 {
                // Any assigned or unassigned scalar value.
                text.extend(char::from_u32((state >> 20) as u32 % 0x11_0000));
            }
        }
        total += text.len();
        documents.push(text);
    }
    documents
}

#[test]
fn the_python_package_gives_the_same_ids() {
    let python = python();
    let mut documents = crate::rust_sources(4_000_000);
    documents.extend(mixed_text(1_200_000));
    documents.retain(|text| !text.contains("<|"));
    assert!(documents.iter().map(String::len).sum::<usize>() > 5_000_000);
    let options = TokenizerOptions { vocab_size: 8192, ..TokenizerOptions::default() };
    let mut trainer = Trainer::new(&options, 2).unwrap();
    trainer.feed(&documents);
    let tokenizer = trainer.finish(&Silent).unwrap().tokenizer;

    let folder = tempfile::tempdir().unwrap();
    let [file, input, output] =
        ["tokenizer.json", "documents.json", "ids.json"].map(|name| folder.path().join(name));
    std::fs::write(&file, tokenizer.to_json()).unwrap();
    std::fs::write(&input, serde_json::to_vec(&documents).unwrap()).unwrap();
    let names = serde_json::to_string(tokenizer.special_tokens()).unwrap();
    let run =
        Command::new(python).args(["-c", SCRIPT]).args([&file, &input, &output]).arg(names).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let theirs: serde_json::Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    assert_eq!(theirs["vocab_size"], tokenizer.vocab_size());
    for name in tokenizer.special_tokens() {
        assert_eq!(theirs["specials"][name], tokenizer.encode_special(name).unwrap());
    }
    let ours = tokenizer.encode_batch(&documents, 2);
    let theirs: Vec<Vec<u32>> = serde_json::from_value(theirs["ids"].clone()).unwrap();
    for ((ours, theirs), text) in ours.iter().zip(&theirs).zip(&documents) {
        assert_eq!(ours, theirs, "{text:?}");
    }
    assert_eq!(ours.len(), theirs.len());
}
