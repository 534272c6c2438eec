//! The page holds against what it shows: read back by a scanner that knows only the tags that a page is made of.

use super::*;
use proptest::prelude::*;
use wootz_schema::corpus::{FileCounts, ProjectTally, VERSION};

const TAGS: [&str; 32] = [
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "dl", "div", "dt", "dd",
    "small", "section", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "details", "summary",
    "b", "pre", "code", "span", "!doctype", "br",
];

const ATTRIBUTES: [&str; 16] = [
    "html",
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "scope",
    "viewBox",
    "preserveAspectRatio",
    "aria-hidden",
    "width",
    "height",
    "open",
    "id",
    "style",
];

const VOID: [&str; 4] = ["!doctype", "meta", "rect", "br"];

/// The tags of a page in order, closing ones with `/`. Panics where the page is not well formed or has what it must not.
fn tags(html: &str) -> Vec<String> {
    let (mut tags, mut open) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (tag, behind) = rest.split_once('>').expect("a tag that is not closed");
        rest = behind;
        assert!(!tag.contains('<'), "a tag in a tag: {tag}");
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(TAGS.contains(&name), "<{name}>");
        attributes(tag[name.len()..].trim_end_matches('/'));
        match (closing, VOID.contains(&name)) {
            (true, _) => assert_eq!(open.pop().as_deref(), Some(name)),
            (false, false) => open.push(name.to_owned()),
            (false, true) => {}
        }
        if name == "style" && !closing {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
        tags.push(format!("{}{name}", if closing { "/" } else { "" }));
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    tags
}

fn attributes(mut rest: &str) {
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        assert!(ATTRIBUTES.contains(&&rest[..end]), "attribute {}", &rest[..end]);
        rest = match rest[end..].strip_prefix("=\"") {
            Some(value) => value.split_once('"').expect("a value that is not closed").1,
            None => &rest[end..],
        };
    }
}

fn survey(text: &str, name: &str, tokens: Option<u64>) -> Survey {
    let document = Document {
        text: text.to_owned(),
        language: name.to_owned(),
        repo: name.to_owned(),
        path: name.to_owned(),
        commit: None,
        license: name.to_owned(),
        kind: DocumentKind::Function,
        symbols: vec![name.to_owned()],
        tokens,
        sha256: String::new(),
    };
    let tally = Tally { documents: 1, bytes: text.len() as u64 };
    let named = BTreeMap::from([(name.to_owned(), tally)]);
    let project = ProjectTally { projects: 1, documents: 1, bytes: tally.bytes, tokens: tokens.unwrap_or(0) };
    let manifest = CorpusManifest {
        version: VERSION,
        documents_file: name.to_owned(),
        file_bytes: 1,
        sha256: name.to_owned(),
        documents: tally,
        files: FileCounts { seen: 4, kept: 1, dropped: BTreeMap::from([(DropReason::Duplicate, 3)]) },
        dropped_documents: BTreeMap::from([(DropReason::Oversized, tally)]),
        dropped_licenses: BTreeMap::new(),
        files_with_syntax_errors: 0,
        projects: 1,
        languages: named.clone(),
        licenses: named.clone(),
        clean: wootz_schema::clean::CleanCounts::default(),
    };
    let stats = CorpusStats {
        total: tally,
        counted: tally,
        tokens: tokens.unwrap_or(0),
        kinds: BTreeMap::from([(DocumentKind::Function, tally)]),
        languages: named.clone(),
        licenses: named,
        projects: BTreeMap::from([(name.to_owned(), project)]),
        sizes: BTreeMap::from([(64, tally)]),
        token_counts: tokens.iter().map(|tokens| (tokens.next_power_of_two(), tally)).collect(),
        manifest: Some(manifest),
        ..CorpusStats::default()
    };
    Survey { stats, samples: vec![document] }
}

/// Tags without what only colours.
fn frame(html: &str) -> Vec<String> {
    tags(html).into_iter().filter(|tag| !tag.ends_with("span")).collect()
}

proptest! {
    #[test]
    fn hostile_text_adds_no_tag(
        text in r#"([a-z]{1,4}|["'`/*#<>&=\n\r ]|</pre>|</code>|<script>|<img src=x onerror=a>|]]>|<!--){0,60}"#,
        name in r#"([a-z]{1,4}|["'<>&/ ]|<script>|</title>|</style>|\u{202e}|\PC){0,20}"#,
        tokens in prop::option::of(1u64..100_000),
    ) {
        let calm = page("calm", &survey("int a;\n", "calm", tokens), 0);
        let hostile = page(&name, &survey(&text, &name, tokens), 0);
        prop_assert_eq!(frame(&calm), frame(&hostile));
    }
}

#[test]
fn a_title_has_no_tags() {
    let html = page("a\u{202e}</title><script>", &survey("int a;\n", "c", None), 0);
    assert!(html.contains("<title>Corpus aU+202E&lt;/title&gt;&lt;script&gt;</title>"), "{html}");
}

#[test]
fn a_page_needs_no_other_file() {
    let html = page("corpus", &survey("int a;\n", "c", Some(4)), 7);
    for other in ["src=", "href", "url(", "@import", "<script", "http://", "https://"] {
        assert!(!html.contains(other), "{other}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(html.contains("3 – 4"), "the row of 4 tokens");
    assert!(html.contains("duplicates"));
    assert!(html.contains("chosen at random by seed 7"));
}

#[test]
fn long_documents_are_cut_at_a_line() {
    let text = "int é;\n".repeat(9000);
    let html = page("corpus", &survey(&text, "c", None), 0);
    assert!(html.len() < 6 * SHOWN_BYTES + 20_000, "{} bytes", html.len());
    assert!(html.contains("more are not shown"));
    assert_eq!(shown(&"é".repeat(SHOWN_BYTES)), SHOWN_BYTES, "one line");
    assert_eq!(figure(1_234_567).replace('\u{202f}', ","), "1,234,567");
}

#[test]
fn many_parts_are_one_row() {
    let tally = |bytes| Tally { documents: 1, bytes };
    let licenses: BTreeMap<String, Tally> =
        (0..50).map(|at| (format!("L{at:02}"), tally(100 - at))).collect();
    let html = parts("Licenses", "license", "", &licenses);
    assert_eq!(html.matches("<tr>").count(), 1 + ROWS);
    assert!(html.contains("L18") && !html.contains("L19") && html.contains("31 others"));
}
