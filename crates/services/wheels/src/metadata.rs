//! Core metadata: the file `METADATA` within a wheel.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than this is none.
const MOST_BYTES: u64 = 16 << 20;

/// The metadata of a wheel, as they stand in it.
pub fn of_wheel(path: &Path) -> io::Result<Vec<u8>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut archive = zip::ZipArchive::new(File::open(path)?).map_err(|error| wrong(&error.to_string()))?;
    let names: Vec<String> = archive.file_names().flatten().map(Cow::into_owned).collect();
    let name = names.into_iter().find(|name| {
        name.split_once('/')
            .is_some_and(|(folder, file)| folder.ends_with(".dist-info") && file == "METADATA")
    });
    let name = name.ok_or_else(|| wrong("it has no METADATA"))?;
    let file = archive.by_name(&name).map_err(|error| wrong(&error.to_string()))?;
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// A field of the head: the first of this name.
pub fn field(metadata: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(metadata);
    let lines = text.lines().take_while(|line| !line.is_empty());
    let mut values = lines.filter_map(|line| line.split_once(':'));
    let (_, value) = values.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}
