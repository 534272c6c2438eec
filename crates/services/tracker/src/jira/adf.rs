//! Descriptions: plain text to the document format of Jira's API v3 (ADF) and back.
//!
//! Text becomes paragraphs, cut at empty lines, with hard breaks for single line ends; that loses nothing, so text comes back as it went.
//! The other way a document of any kind becomes text that reads like Markdown. That cannot be turned round: a document that people
//! wrote is only replaced where the text was edited here.
//!
//! Source: the public description of the Atlassian Document Format. Not covered: what macros of other vendors hide in `parameters`.

use jiff::Timestamp;
use serde_json::{Value, json};

/// The document of a text.
pub fn from_text(text: &str) -> Value {
    let blocks: Vec<Value> = match text {
        "" => Vec::new(),
        text => text.split("\n\n").map(paragraph).collect(),
    };
    json!({"type": "doc", "version": 1, "content": blocks})
}

/// The text of a document; text that is no document, as API v2 has it, stays as it is.
pub fn to_text(document: &Value) -> String {
    match document {
        Value::String(text) => text.clone(),
        Value::Object(_) => blocks(document),
        _ => String::new(),
    }
}

fn paragraph(text: &str) -> Value {
    let mut content = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            content.push(json!({"type": "hardBreak"}));
        }
        if !line.is_empty() {
            content.push(json!({"type": "text", "text": line}));
        }
    }
    json!({"type": "paragraph", "content": content})
}

fn content(node: &Value) -> &[Value] {
    node["content"].as_array().map_or(&[], Vec::as_slice)
}

fn kind(node: &Value) -> &str {
    node["type"].as_str().unwrap_or_default()
}

fn attribute<'a>(node: &'a Value, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| node["attrs"][name].as_str()).filter(|text| !text.is_empty())
}

/// The blocks in a node, an empty line between two.
fn blocks(node: &Value) -> String {
    let parts: Vec<String> = content(node).iter().map(block).collect();
    parts.join("\n\n")
}

fn block(node: &Value) -> String {
    match kind(node) {
        "paragraph" => inline(node),
        "heading" => {
            let level = node["attrs"]["level"].as_u64().unwrap_or(1).clamp(1, 6) as usize;
            format!("{} {}", "#".repeat(level), inline(node))
        }
        "bulletList" => items(node, |_| "- ".to_owned()),
        "orderedList" => {
            let first = node["attrs"]["order"].as_u64().unwrap_or(1);
            items(node, |at| format!("{}. ", first.saturating_add(at)))
        }
        "taskList" | "decisionList" => tasks(node),
        "codeBlock" => code(node),
        "blockquote" => prefixed(&blocks(node), "> ", "> "),
        "panel" => {
            let name = attribute(node, &["panelType"]).unwrap_or("panel");
            prefixed(&format!("[{name}] {}", blocks(node)), "> ", "> ")
        }
        "rule" => "---".to_owned(),
        "table" => table(node),
        "expand" | "nestedExpand" => {
            let title = attribute(node, &["title"]).map(|title| format!("{title}\n\n"));
            format!("{}{}", title.unwrap_or_default(), blocks(node))
        }
        _ => other(node),
    }
}

/// What is not known: what stands in it, or what it says of itself.
fn other(node: &Value) -> String {
    let inside = content(node);
    let is_inline = |node: &Value| {
        matches!(kind(node), "text" | "hardBreak" | "mention" | "emoji" | "date" | "status" | "inlineCard")
    };
    match inside {
        [] => leaf(node),
        _ if inside.iter().any(is_inline) => inline(node),
        _ => blocks(node),
    }
}

/// Inline nodes one behind the other.
fn inline(node: &Value) -> String {
    content(node).iter().map(leaf).collect()
}

fn leaf(node: &Value) -> String {
    match kind(node) {
        "text" => marked(node),
        "hardBreak" => "\n".to_owned(),
        "mention" => {
            let name = attribute(node, &["text", "id"]).unwrap_or("somebody");
            format!("@{}", name.trim_start_matches('@'))
        }
        "emoji" => attribute(node, &["text", "shortName"]).unwrap_or_default().to_owned(),
        "status" => format!("[{}]", attribute(node, &["text"]).unwrap_or_default()),
        "date" => date(node),
        "media" | "mediaInline" => {
            format!("[media: {}]", attribute(node, &["alt", "url", "id"]).unwrap_or("file"))
        }
        _ if !content(node).is_empty() => other(node),
        name => match node["text"].as_str().or(attribute(node, &["text", "url", "title", "alt"])) {
            Some(text) => text.to_owned(),
            None => format!("[{name}]"),
        },
    }
}

fn marked(node: &Value) -> String {
    let mut text = node["text"].as_str().unwrap_or_default().to_owned();
    for mark in node["marks"].as_array().into_iter().flatten() {
        let around = match kind(mark) {
            "strong" => "**",
            "em" => "*",
            "code" => "`",
            "strike" => "~~",
            "link" => {
                text = match attribute(mark, &["href"]) {
                    Some(target) if target != text => format!("[{text}]({target})"),
                    _ => text,
                };
                continue;
            }
            _ => continue,
        };
        text = format!("{around}{text}{around}");
    }
    text
}

/// A day; documents have it in milliseconds, as text.
fn date(node: &Value) -> String {
    let stamp = &node["attrs"]["timestamp"];
    let milliseconds = stamp.as_i64().or_else(|| stamp.as_str()?.parse().ok());
    match milliseconds.and_then(|time| Timestamp::from_millisecond(time).ok()) {
        Some(time) => time.strftime("%Y-%m-%d").to_string(),
        None => "[date]".to_owned(),
    }
}

/// Items of a list, what belongs to one indented under it.
fn items(list: &Value, mark: impl Fn(u64) -> String) -> String {
    let item = |(at, item): (usize, &Value)| {
        let mark = mark(at as u64);
        let parts: Vec<String> = content(item).iter().map(block).collect();
        prefixed(&parts.join("\n"), &mark, &" ".repeat(mark.len()))
    };
    content(list).iter().enumerate().map(item).collect::<Vec<_>>().join("\n")
}

fn tasks(list: &Value) -> String {
    let line = |item: &Value| match kind(item) {
        "taskItem" => {
            let done = if item["attrs"]["state"] == "DONE" { "x" } else { " " };
            prefixed(&other_or_empty(item), &format!("- [{done}] "), "  ")
        }
        "decisionItem" => prefixed(&other_or_empty(item), "- ", "  "),
        _ => prefixed(&block(item), "  ", "  "),
    };
    content(list).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn other_or_empty(item: &Value) -> String {
    if content(item).is_empty() { String::new() } else { other(item) }
}

fn code(node: &Value) -> String {
    let text = inline(node);
    // The fence is longer than any within, so that the block ends where it ends.
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}{}\n{text}\n{fence}", attribute(node, &["language"]).unwrap_or_default())
}

fn table(node: &Value) -> String {
    let mut rows = Vec::new();
    for (at, row) in content(node).iter().enumerate() {
        if kind(row) != "tableRow" {
            rows.push(block(row));
            continue;
        }
        let cell = |cell: &Value| other_or_empty(cell).replace('|', "\\|").replace('\n', " ");
        let cells: Vec<String> = content(row).iter().map(cell).collect();
        rows.push(format!("| {} |", cells.join(" | ")));
        if at == 0 && content(row).iter().any(|cell| kind(cell) == "tableHeader") {
            rows.push(format!("|{}", " --- |".repeat(cells.len())));
        }
    }
    rows.join("\n")
}

/// Text with something before its first line and something before the others.
fn prefixed(text: &str, first: &str, others: &str) -> String {
    let mut lines = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let prefix = if at == 0 { first } else { others };
        let line = format!("{prefix}{line}");
        lines.push(if at > 0 { line.trim_end().to_owned() } else { line });
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back_as_it_went(text in "([a-z#*`|>é界 -]{0,6}|\n|\n\n|\r\n|\t|  ){0,12}") {
            let document = from_text(&text);
            prop_assert_eq!(to_text(&document), text);
            // What Jira refuses: text nodes without text.
            for block in content(&document) {
                prop_assert!(content(block).iter().all(|node| node["text"] != ""));
            }
        }

        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(to_text(&from_text(&text)), text);
        }

        #[test]
        fn words_of_any_tree_are_kept(words in prop::collection::vec("[a-z]{5}", 1..8), kinds in prop::collection::vec(0_usize..12, 1..8)) {
            let names = [
                "paragraph", "heading", "bulletList", "orderedList", "listItem", "panel", "blockquote", "table", "tableRow",
                "expand", "bodiedExtension", "codeBlock",
            ];
            let mut node = json!({"type": "paragraph", "content": words.iter().map(|word| json!({"type": "text", "text": word})).collect::<Vec<_>>()});
            for kind in kinds {
                node = json!({"type": names[kind], "content": [node]});
            }
            let text = to_text(&json!({"type": "doc", "version": 1, "content": [node]}));
            for word in words {
                prop_assert!(text.contains(&word), "{} is not in {}", word, text);
            }
        }
    }

    #[test]
    fn documents_read_well() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let p = |text_: &str| json!({"type": "paragraph", "content": [text(text_)]});
        let marked = |text: &str, mark: Value| json!({"type": "text", "text": text, "marks": [mark]});
        let item = |content: Value| json!({"type": "listItem", "content": content});
        let document = json!({"type": "doc", "version": 1, "content": [
            {"type": "heading", "attrs": {"level": 2}, "content": [text("Steps")]},
            {"type": "orderedList", "attrs": {"order": 3}, "content": [
                item(json!([p("one"), {"type": "bulletList", "content": [item(json!([p("deep")]))]}])),
                item(json!([p("two")])),
            ]},
            {"type": "codeBlock", "attrs": {"language": "rust"}, "content": [text("let a = 1;\nlet b = 2;")]},
            {"type": "panel", "attrs": {"panelType": "warning"}, "content": [p("careful"), p("very")]},
            {"type": "paragraph", "content": [
                {"type": "mention", "attrs": {"id": "5b", "text": "@Ann"}}, text(" said "),
                marked("yes", json!({"type": "strong"})), text(", see "),
                marked("here", json!({"type": "link", "attrs": {"href": "https://x.test/"}})), {"type": "hardBreak"},
                {"type": "emoji", "attrs": {"shortName": ":tada:"}}, text(" on "),
                {"type": "date", "attrs": {"timestamp": "1700000000000"}}, {"type": "status", "attrs": {"text": "LATE"}},
            ]},
            {"type": "table", "content": [
                {"type": "tableRow", "content": [{"type": "tableHeader", "content": [p("k")]}, {"type": "tableHeader", "content": [p("v")]}]},
                {"type": "tableRow", "content": [{"type": "tableCell", "content": [p("a|b")]}, {"type": "tableCell", "content": [p("1")]}]},
            ]},
            {"type": "taskList", "content": [
                {"type": "taskItem", "attrs": {"state": "DONE"}, "content": [text("done")]},
                {"type": "taskItem", "content": [text("to do")]},
            ]},
            {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "7", "alt": "plot.png"}}]},
            {"type": "rule"},
            {"type": "blockCard", "attrs": {"url": "https://y.test/"}},
            {"type": "extension", "attrs": {"extensionKey": "toc"}},
            {"type": "somethingNew", "content": [{"type": "alsoNew", "content": [p("inside")]}]},
        ]});
        expect![[r#"
            ## Steps

            3. one
               - deep
            4. two

            ```rust
            let a = 1;
            let b = 2;
            ```

            > [warning] careful
            >
            > very

            @Ann said **yes**, see [here](https://x.test/)
            :tada: on 2023-11-14[LATE]

            | k | v |
            | --- | --- |
            | a\|b | 1 |

            - [x] done
            - [ ] to do

            [media: plot.png]

            ---

            https://y.test/

            [extension]

            inside"#]]
        .assert_eq(&to_text(&document));
        assert_eq!(to_text(&Value::Null), "");
        assert_eq!(to_text(&json!("as v2 has it")), "as v2 has it");
    }
}
