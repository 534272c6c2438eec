//! Personal data: e-mail addresses, public IPv4 addresses, phone numbers.

use super::{Finding, MARK, past_escape, run};
use memchr::memchr_iter;
use std::ops::Range;
use wootz_schema::clean::Redaction;

/// Top-level domains beside those of countries (two letters).
const DOMAINS: [&str; 30] = [
    "com",
    "org",
    "net",
    "edu",
    "gov",
    "mil",
    "int",
    "info",
    "biz",
    "name",
    "pro",
    "dev",
    "app",
    "cloud",
    "online",
    "tech",
    "site",
    "xyz",
    "email",
    "mobi",
    "science",
    "berlin",
    "asia",
    "technology",
    "software",
    "page",
    "systems",
    "team",
    "arpa",
    "live",
];

/// Domains of countries: two letters alone would also be attributes and file extensions.
const COUNTRIES: &str = " ac ad ae af ag al am ar at au az ba bd be bg bh bo br by ca cc ch ci cl cm cn co cr cu cx cy cz de dk do \
    dz ec ee eg es eu fi fm fr ga ge gg gi gr gt hk hn hr hu id ie il im in io ir is it je jo jp ke kg kr kw kz la lb li lk lt \
    lu lv ly ma md me mk ml mn mo mt mu mx my na ng nl no nu nz om pa pe ph pk pl pt py qa re ro rs ru sa se sg sh si sk sn so st \
    su sv sy th tj tk tn to tr tv tw tz ua ug uk us uy uz va vc ve vg vi vn ws ye za zw ai ";

/// E-mail addresses; those that stand for nobody stay.
pub(super) fn find_emails(bytes: &[u8], findings: &mut Vec<Finding>) {
    let mut done = 0;
    for at in memchr_iter(b'@', bytes) {
        if let Some(range) = email(bytes, at).filter(|range| range.start >= done) {
            done = range.end;
            findings.push(Finding { range, kind: Redaction::Email });
        }
    }
}

fn email(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let is_local =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-');
    let length = bytes[..at].iter().rev().take(65).take_while(|byte| is_local(**byte)).count();
    let mut start = at - length;
    // Nobody's address is longer; what comes before belongs to something else.
    if length == 0 || length > 64 || bytes[..start].last().is_some_and(|byte| *byte >= 0x80) {
        return None;
    }
    start = past_escape(bytes, start).min(at);
    start += run(&bytes[..at], start, |byte| !byte.is_ascii_alphanumeric());
    let local = &bytes[start..at];
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let length = run(bytes, at + 1, is_domain);
    let mut domain = &bytes[at + 1..at + 1 + length];
    // A sentence's full stop is no part of it.
    while let [rest @ .., b'.' | b'-'] = domain {
        domain = rest;
    }
    let end = at + 1 + domain.len();
    let followed = bytes.get(end).copied().unwrap_or(b' ');
    if local.is_empty()
        || local.ends_with(b".")
        || matches!(followed, b'(' | b'[' | b'@' | b'_' | b'=' | 0x80..)
    {
        return None;
    }
    let domain = domain.to_ascii_lowercase();
    let labels: Vec<&[u8]> = domain.split(|byte| *byte == b'.').collect();
    let (top, names) = labels.split_last()?;
    if names.is_empty()
        || names.iter().any(|name| name.is_empty() || name.starts_with(b"-"))
        || !is_top_level(top)
    {
        return None;
    }
    let short = local.len() == 1 && names.len() == 1 && names[0].len() == 1;
    (!short && !is_login(bytes, start) && !is_nobody(local, &domain)).then_some(start..end)
}

/// Whether a name is the user, or the end of the password, in `scheme://user:password@host`.
fn is_login(bytes: &[u8], start: usize) -> bool {
    let before = &bytes[start.saturating_sub(128)..start];
    let is_part =
        |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`');
    let length = before.iter().rev().take_while(|byte| is_part(byte)).count();
    before[..before.len() - length].ends_with(b"://")
}

fn is_top_level(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    DOMAINS.contains(&name) || name.len() == 2 && COUNTRIES.contains(&format!(" {name} "))
}

/// Addresses that are examples, machines or placeholders.
fn is_nobody(local: &[u8], domain: &[u8]) -> bool {
    const LOCALS: [&str; 8] =
        ["git", "noreply", "no-reply", "donotreply", "do-not-reply", "nobody", "user", "username"];
    const SITES: [&str; 11] = [
        "example.com",
        "example.org",
        "example.net",
        "example.edu",
        "users.noreply.github.com",
        "domain.com",
        "test.com",
        // Names of ciphers.
        "openssh.com",
        "libssh.org",
        "foo.com",
        "bar.com",
    ];
    let below = |site: &str| {
        domain.strip_suffix(site.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
    };
    LOCALS.iter().any(|name| local.eq_ignore_ascii_case(name.as_bytes()))
        || SITES.iter().any(|site| below(site))
        || memchr::memmem::find(local, MARK).is_some()
}

/// Public IPv4 addresses.
pub(super) fn find_addresses(bytes: &[u8], findings: &mut Vec<Finding>) {
    let mut done = 0;
    for dot in memchr_iter(b'.', bytes) {
        if dot < done.max(1)
            || !bytes[dot - 1].is_ascii_digit()
            || !bytes.get(dot + 1).is_some_and(u8::is_ascii_digit)
        {
            continue;
        }
        let length = bytes[..dot].iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let start = dot - length;
        if let Some((octets, end)) = octets(bytes, start) {
            done = end;
            if is_public(octets) && is_address(bytes, start..end, octets) {
                findings.push(Finding { range: start..end, kind: Redaction::IpAddress });
            }
        }
    }
}

/// Four numbers below 256 with dots between them, and where they end.
fn octets(bytes: &[u8], start: usize) -> Option<([u8; 4], usize)> {
    let mut octets = [0; 4];
    let mut at = start;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            at += usize::from(bytes.get(at) == Some(&b'.'));
        }
        let length = run(bytes, at, |byte| byte.is_ascii_digit());
        let digits = std::str::from_utf8(&bytes[at..at + length]).ok()?;
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        *octet = digits.parse().ok()?;
        at += length;
        if index < 3 && bytes.get(at) != Some(&b'.') {
            return None;
        }
    }
    let next = bytes.get(at).copied().unwrap_or(b' ');
    let goes_on = next == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on && !next.is_ascii_alphanumeric() && next != b'_').then_some((octets, at))
}

/// Whether an address is one that a machine on the internet can have (RFC 6890 and 5737 list the others).
fn is_public(octets: [u8; 4]) -> bool {
    !matches!(
        octets,
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [8, 8, 8, 8]
            | [8, 8, 4, 4]
            | [1, 1, 1, 1]
            | [1, 2, 3, 4]
            | [1, 0, 0, 1]
            | [9, 9, 9, 9]
            | [_, _, _, 0]
    )
}

/// Whether four numbers are an address rather than a version, a section or an object's id.
fn is_address(bytes: &[u8], range: Range<usize>, octets: [u8; 4]) -> bool {
    let before = &bytes[..range.start];
    let last = before.last().copied().unwrap_or(b' ');
    if last.is_ascii_alphanumeric() && past_escape(bytes, range.start - 1) != range.start
        || matches!(last, b'_' | b'.' | b'-' | b'+' | b'$')
    {
        return false;
    }
    // `Chrome/91.0.44.124`, but not `https://91.…` or `/24`.
    if last == b'/' && before.len() >= 2 && before[before.len() - 2].is_ascii_alphanumeric() {
        return false;
    }
    let line = &before[before.len().saturating_sub(80)..];
    let line = line[memchr::memrchr(b'\n', line).map_or(0, |at| at + 1)..].to_ascii_lowercase();
    let is_version = ["version", "release"]
        .iter()
        .any(|word| memchr::memmem::find(&line, word.as_bytes()).is_some())
        || ["ver", "v", "oid", "section", "rfc", "rev", "asn1", "build"].iter().any(|word| says(&line, word));
    if is_version || octets.iter().all(|octet| *octet < 10) {
        return false;
    }
    let next = bytes.get(range.end).copied().unwrap_or(b' ');
    let in_url = matches!(last, b'/' | b'@')
        || next == b':' && bytes.get(range.end + 1).is_some_and(u8::is_ascii_digit);
    let step = i16::from(octets[1]) - i16::from(octets[0]);
    let made_up = octets.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == step);
    // Object ids begin with 0, 1 or 2 and a number below 40.
    let object_id = octets[0] <= 2 && octets[1] < 40;
    if made_up || object_id && !in_url {
        return false;
    }
    let large = octets.iter().filter(|octet| **octet >= 10).count() >= 2;
    let quoted =
        matches!(last, b'"' | b'\'' | b'`') && matches!(next, b'"' | b'\'' | b'`' | b':' | b'/' | b'\\');
    let named = ["addr", "host", "ip", "server", "peer", "dns", "listen", "bind", "remote"]
        .iter()
        .any(|word| says(&line, word));
    // Alone, only what is longer than versions are.
    in_url || large && (quoted || named) || range.len() >= 10
}

/// Whether a line holds a word, on its own or as the beginning or the end of a longer name.
fn says(line: &[u8], word: &str) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    memchr::memmem::find_iter(line, word.as_bytes()).any(|at| {
        let (before, after) = (at.checked_sub(1).and_then(|at| line.get(at)), line.get(at + word.len()));
        !is_letter(before) && (!is_letter(after) || word.len() > 3)
    })
}

/// Phone numbers: international with separators, or North American behind a word that says so.
pub(super) fn find_phones(bytes: &[u8], findings: &mut Vec<Finding>) {
    let mut done = 0;
    for plus in memchr_iter(b'+', bytes) {
        let next = bytes.get(plus + 1).copied().unwrap_or(b' ');
        if plus < done || !(b'1'..=b'9').contains(&next) {
            continue;
        }
        if let Some(end) = number(bytes, plus).filter(|end| is_phone(bytes, plus, *end)) {
            done = end;
            findings.push(Finding { range: plus..end, kind: Redaction::PhoneNumber });
        }
    }
    for dash in memchr_iter(b'-', bytes) {
        let digits = |at: usize, count: usize| run(bytes, at, |byte| byte.is_ascii_digit()) == count;
        if dash < 8 || !bytes[dash - 1].is_ascii_digit() || !digits(dash + 1, 4) {
            continue;
        }
        if let Some(start) = local_start(bytes, dash).filter(|start| says_phone(bytes, *start)) {
            findings.push(Finding { range: start..dash + 5, kind: Redaction::PhoneNumber });
        }
    }
}

/// End of a number that begins with `+`: 10 to 15 digits in at least three groups.
fn number(bytes: &[u8], plus: usize) -> Option<usize> {
    let (mut digits, mut groups, mut end, mut at) = (0, 0, plus + 1, plus + 1);
    // A country's code has three digits at most.
    if run(bytes, at, |byte| byte.is_ascii_digit()) > 3 {
        return None;
    }
    loop {
        let length = run(bytes, at, |byte| byte.is_ascii_digit());
        if length == 0 {
            break;
        }
        digits += length;
        groups += 1;
        end = at + length;
        at = end;
        let separator = run(bytes, at, |byte| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')'));
        let plain =
            matches!(&bytes[at..at + separator], b" " | b"-" | b"." | b" (" | b"(" | b") " | b")" | b")-");
        if !plain {
            break;
        }
        at += separator;
    }
    let next = bytes.get(end).copied().unwrap_or(b' ');
    let is_word = next.is_ascii_alphanumeric() || next == b'_';
    ((10..=15).contains(&digits) && groups >= 3 && !is_word).then_some(end)
}

/// Whether a number with `+` is given as a phone number and not added to something.
fn is_phone(bytes: &[u8], start: usize, end: usize) -> bool {
    let quote = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>'))
    };
    quote(start.checked_sub(1)) && quote(Some(end)) || says_phone(bytes, start)
}

/// Start of `(415) 555-2671` or `415-555-2671` whose last `-` stands at `dash`.
fn local_start(bytes: &[u8], dash: usize) -> Option<usize> {
    let digits_before = |at: usize| bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if digits_before(dash) != 3 {
        return None;
    }
    let before = &bytes[..dash - 3];
    let (area_end, bracket) = match before {
        [.., b')', b' '] => (before.len() - 2, true),
        [.., b')'] => (before.len() - 1, true),
        [.., b'-' | b'.' | b' '] => (before.len() - 1, false),
        _ => return None,
    };
    if digits_before(area_end) != 3 {
        return None;
    }
    let start = area_end - 3;
    let start = if bracket { start.checked_sub(1).filter(|at| bytes[*at] == b'(')? } else { start };
    let goes_on = start > 0 && matches!(bytes[start - 1], b'-' | b'+' | b'.' | b'0'..=b'9');
    // 555 is the exchange, and the area, of numbers in films.
    let made_up = bytes[area_end - 3..area_end] == *b"555" || bytes[dash - 3..dash] == *b"555";
    (!goes_on && !made_up).then_some(start)
}

/// Whether a word shortly before says that a phone number follows.
fn says_phone(bytes: &[u8], start: usize) -> bool {
    let before = &bytes[start.saturating_sub(24)..start];
    let before = &before[memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..];
    let before = before.to_ascii_lowercase();
    ["phone", "tel:", "tel.", "tel ", "fax", "mobile", "cell", "whatsapp", "call us", "call "]
        .iter()
        .any(|word| memchr::memmem::find(&before, word.as_bytes()).is_some())
}
