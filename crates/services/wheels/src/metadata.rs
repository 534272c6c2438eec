//! `METADATA` and `WHEEL`: lines of a key and a value, before a text that is not looked at.

use wootz_schema::wheel::{WheelMetadata, WheelTags};

/// The lines before the first empty one, keys in lower case; a line that begins with a blank goes on with the last value.
pub(crate) fn headers(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| format!("line {} is no UTF-8", index + 1))?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            break;
        }
        match (line.strip_prefix([' ', '\t']), headers.last_mut()) {
            (Some(more), Some((_, value))) => *value = format!("{value}\n{more}"),
            _ => {
                let (key, value) =
                    line.split_once(':').ok_or_else(|| format!("line {} has no `:`: {line:?}", index + 1))?;
                headers.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }
    Ok(headers)
}

/// What installers read of `METADATA`.
pub(crate) fn metadata(bytes: &[u8]) -> Result<WheelMetadata, String> {
    let headers = headers(bytes)?;
    Ok(WheelMetadata {
        metadata_version: single(&headers, "metadata-version")?.ok_or_else(|| missing("Metadata-Version"))?,
        name: single(&headers, "name")?.ok_or_else(|| missing("Name"))?,
        version: single(&headers, "version")?.ok_or_else(|| missing("Version"))?,
        summary: single(&headers, "summary")?,
        requires_python: single(&headers, "requires-python")?,
        requires_dist: all(&headers, "requires-dist"),
    })
}

/// What `WHEEL` says.
pub(crate) fn wheel(bytes: &[u8]) -> Result<WheelTags, String> {
    let headers = headers(bytes)?;
    let pure = single(&headers, "root-is-purelib")?;
    let root_is_purelib = match pure.as_ref().map(|pure| pure.to_ascii_lowercase()).as_deref() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(format!("Root-Is-Purelib is `{other}`, where true or false belongs")),
        None => None,
    };
    Ok(WheelTags {
        wheel_version: single(&headers, "wheel-version")?.ok_or_else(|| missing("Wheel-Version"))?,
        generator: single(&headers, "generator")?,
        root_is_purelib,
        tags: all(&headers, "tag"),
        build: single(&headers, "build")?,
    })
}

/// The file with another version, and every other byte as it was.
pub(crate) fn with_version(bytes: &[u8], version: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(bytes.len() + version.len());
    let mut inside = true;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = line.len() - line.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        inside &= end > 0;
        let key = line[..end].split(|byte| *byte == b':').next().unwrap_or_default();
        if inside && key.eq_ignore_ascii_case(b"version") {
            written.extend_from_slice(key);
            written.extend_from_slice(b": ");
            written.extend_from_slice(version.as_bytes());
            written.extend_from_slice(&line[end..]);
        } else {
            written.extend_from_slice(line);
        }
    }
    written
}

/// The file with these tags and this build in the place of those that it has, and every other byte as it was.
pub(crate) fn with_tags(bytes: &[u8], tags: &[String], build: Option<&str>) -> Vec<u8> {
    let key = |line: &[u8]| line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
    let (mut kept, mut rest) = (Vec::with_capacity(bytes.len()), Vec::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let inside = rest.is_empty() && !line.trim_ascii().is_empty();
        match key(line).as_slice() {
            b"tag" | b"build" if inside => {}
            _ if inside => kept.extend_from_slice(line),
            _ => rest.extend_from_slice(line),
        }
    }
    if !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    kept.extend(tags.iter().flat_map(|tag| format!("Tag: {tag}\n").into_bytes()));
    kept.extend(build.iter().flat_map(|build| format!("Build: {build}\n").into_bytes()));
    kept.extend(rest);
    kept
}

fn all(headers: &[(String, String)], key: &str) -> Vec<String> {
    headers.iter().filter(|(found, _)| found == key).map(|(_, value)| value.clone()).collect()
}

/// The value of a key that may stand once: readers differ in which of two they take.
fn single(headers: &[(String, String)], key: &str) -> Result<Option<String>, String> {
    let mut values = all(headers, key);
    match values.len() {
        0 | 1 => Ok(values.pop()),
        count => Err(format!("`{key}` stands {count} times")),
    }
}

fn missing(key: &str) -> String {
    format!("it has no line `{key}`")
}
