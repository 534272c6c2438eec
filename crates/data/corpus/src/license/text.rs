//! License texts: the common ones by their telling sentences, the rest by likeness to the SPDX list.
//!
//! A text is folded to lower-case words, so that line breaks, quotes and bullets do not matter. The sentences are
//! tried first because they cost microseconds; loading the SPDX list costs a tenth of a second and a comparison
//! milliseconds, so the list is loaded when the first text needs it and every verdict is remembered.

use sha2::{Digest, Sha256};
use spdx::detection::{Store, TextData};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

/// Likeness from which a text counts as a license of the list.
const MIN_SCORE: f32 = 0.9;

/// Recognizes license texts; shared by all threads of one build.
#[derive(Default)]
pub(crate) struct Texts {
    verdicts: Mutex<BTreeMap<[u8; 32], Option<String>>>,
    list: OnceLock<Option<Store>>,
}

impl Texts {
    /// The license a text is, or several as a sum; `None` where it is not known.
    pub fn recognize(&self, text: &str) -> Option<String> {
        let words = folded(text);
        let key: [u8; 32] = Sha256::digest(words.as_bytes()).into();
        // A panicking thread ends the build, so what it left in the lock does not matter.
        let known =
            self.verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned();
        if let Some(verdict) = known {
            return verdict;
        }
        let verdict = by_sentences(&words).or_else(|| self.by_likeness(text));
        let mut verdicts = self.verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        verdicts.insert(key, verdict.clone());
        verdict
    }

    fn by_likeness(&self, text: &str) -> Option<String> {
        let list = self.list.get_or_init(|| Store::load_inline().ok()).as_ref()?;
        let data = TextData::new(text);
        // The list is a hash map: the best score decides, then the name, so that its order cannot.
        let mut scores: Vec<(f32, &str)> = list
            .iter()
            .map(|(name, entry)| {
                let texts = std::iter::once(&entry.original).chain(&entry.alternates).chain(&entry.headers);
                (texts.map(|license| license.match_score(&data)).fold(0.0, f32::max), name.as_str())
            })
            .collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let (score, name) = *scores.first()?;
        (score >= MIN_SCORE).then(|| super::canonical_expression(name))?
    }
}

/// Lower-case words, single spaces.
pub(super) fn folded(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.extend(word.chars().flat_map(char::to_lowercase));
        words.push(' ');
    }
    words
}

/// The licenses whose telling sentences a folded text holds, as a sum.
pub(super) fn by_sentences(words: &str) -> Option<String> {
    let has = |sentence: &str| words.contains(sentence);
    // Texts of the GNU family quote each other's names; each begins with its own.
    let title = &words[..words.floor_char_boundary(200)];
    let gnu = [
        ("gnu affero general public license version 3", "AGPL-3.0-only"),
        ("gnu lesser general public license version 3", "LGPL-3.0-only"),
        ("gnu lesser general public license version 2 1", "LGPL-2.1-only"),
        ("gnu general public license version 3", "GPL-3.0-only"),
        ("gnu general public license version 2", "GPL-2.0-only"),
    ];
    if let Some((_, id)) = gnu.iter().find(|(name, _)| title.contains(name)) {
        return Some((*id).to_owned());
    }
    let mut found = Vec::new();
    if has("apache license version 2 0 january 2004") && has("grant of patent license") {
        let llvm = has("llvm exceptions to the apache 2 0 license");
        found.push(if llvm { "Apache-2.0 WITH LLVM-exception" } else { "Apache-2.0" });
    }
    if has(
        "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files",
    ) {
        let keeps_notice = has("permission notice shall be included in all copies");
        let names_holder = has("except as contained in this notice the name");
        found.push(match (keeps_notice, names_holder) {
            (true, false) => "MIT",
            (true, true) => "X11",
            (false, _) => "MIT-0",
        });
    }
    if has("redistribution and use in source and binary forms with or without modification") {
        let no_endorsement =
            has("may be used to endorse or promote products") || has("endorse or promote products derived");
        found.push(match (has("all advertising materials mentioning features"), no_endorsement) {
            (true, _) => "BSD-4-Clause",
            (false, true) => "BSD-3-Clause",
            (false, false) => "BSD-2-Clause",
        });
    }
    if has("this software for any purpose with or without fee is hereby granted") {
        found.push(if has("permission notice appear in all copies") { "ISC" } else { "0BSD" });
    }
    for (sentence, id) in [
        ("mozilla public license version 2 0", "MPL-2.0"),
        ("boost software license version 1 0", "BSL-1.0"),
        ("this is free and unencumbered software released into the public domain", "Unlicense"),
        ("altered source versions must be plainly marked as such and must not be misrepresented", "Zlib"),
        ("cc0 1 0 universal", "CC0-1.0"),
        ("unicode license v3", "Unicode-3.0"),
    ] {
        if has(sentence) {
            found.push(id);
        }
    }
    (!found.is_empty()).then(|| super::canonical_expression(&found.join(" AND ")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Texts::default().recognize(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn sentences_survive_layout() {
        check(
            "Copyright (c) 2020 A\n\nPermission is hereby\n granted, free of charge, to any person obtaining a copy of \
             this software and associated documentation files (the \"Software\") … The above copyright notice and \
             this permission notice shall be included in all copies",
            Some("MIT"),
        );
        check("                GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", Some("GPL-3.0-only"));
        check("all rights reserved, ask before use", None);
    }

    #[test]
    fn the_list_knows_what_the_sentences_do_not() {
        // The text of the WTFPL, which no sentence above names.
        check(
            "DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE Version 2, December 2004\n\
             Copyright (C) 2004 Sam Hocevar <sam@hocevar.net>\n\
             Everyone is permitted to copy and distribute verbatim or modified copies of this license document, and \
             changing it is allowed as long as the name is changed.\n\
             DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE\n\
             TERMS AND CONDITIONS FOR COPYING, DISTRIBUTION AND MODIFICATION\n\
             0. You just DO WHAT THE FUCK YOU WANT TO.",
            Some("WTFPL"),
        );
    }
}
