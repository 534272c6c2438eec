//! Which builds of torch there are for which CUDA and which Python, as data, and why a combination cannot be.

/// A version as far as it tells builds apart: 12.9 of 12.9.1.
type Pair = (u32, u32);

/// The builds of one minor version of torch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torch {
    /// Its version.
    pub version: Pair,
    /// Versions of CUDA.
    pub cuda: Vec<Pair>,
    /// CPython, the first and the last.
    pub python: [Pair; 2],
    /// Free-threaded CPython.
    pub free_threaded: Vec<Pair>,
}

/// All that are known, the oldest first.
pub fn table() -> Vec<Torch> {
    let lines = include_str!("compat.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| read(line).expect("a test reads every line of the table")).collect()
}

fn read(line: &str) -> Option<Torch> {
    let [version, cuda, python, free] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
    let (first, last) = python.split_once('-')?;
    let all = |text: &str| {
        text.split_whitespace().map(|word| pair(word.trim_end_matches('t'))).collect::<Option<Vec<_>>>()
    };
    Some(Torch {
        version: pair(version)?,
        cuda: all(cuda)?,
        python: [pair(first)?, pair(last)?],
        free_threaded: all(free)?,
    })
}

/// Major and minor of a version.
pub fn pair(text: &str) -> Option<Pair> {
    let mut parts = text.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Why there is no torch for this CUDA and this Python, or, where it is named, not this torch; `None` where there is one.
pub fn why_not(table: &[Torch], python: &str, cuda: &str, torch: Option<&str>) -> Option<String> {
    let shown = |(major, minor): Pair| format!("{major}.{minor}");
    let Some(toolkit) = pair(cuda) else {
        return Some(format!("{cuda:?} is no version of CUDA, as 12.9.1 is"));
    };
    let (number, is_free) = python.strip_suffix('t').map_or((python, false), |number| (number, true));
    let Some(interpreter) = pair(number) else {
        return Some(format!("{python:?} is no version of Python, as 3.12 is"));
    };
    let wanted = match torch.map(|torch| pair(torch).ok_or(torch)) {
        Some(Err(torch)) => return Some(format!("{torch:?} is no version of torch, as 2.9.1 is")),
        Some(Ok(version)) => Some(version),
        None => None,
    };
    let of_version: Vec<&Torch> =
        table.iter().filter(|torch| wanted.is_none_or(|wanted| torch.version == wanted)).collect();
    if of_version.is_empty() {
        return Some(format!("torch {} is not known", wanted.map(shown).unwrap_or_default()));
    }
    let of_cuda: Vec<&&Torch> = of_version.iter().filter(|torch| torch.cuda.contains(&toolkit)).collect();
    let list = |all: &mut dyn Iterator<Item = Pair>| all.map(shown).collect::<Vec<_>>().join(", ");
    if of_cuda.is_empty() {
        return Some(match wanted {
            None => format!("no torch is built for CUDA {}", shown(toolkit)),
            Some(version) => {
                let cuda = list(&mut of_version[0].cuda.iter().copied());
                format!("torch {} is not built for CUDA {}, only for {cuda}", shown(version), shown(toolkit))
            }
        });
    }
    let has_python = |torch: &Torch| match is_free {
        true => torch.free_threaded.contains(&interpreter),
        false => (torch.python[0]..=torch.python[1]).contains(&interpreter),
    };
    if of_cuda.iter().any(|torch| has_python(torch)) {
        return None;
    }
    let builds = of_cuda.iter().map(|torch| {
        let free = list(&mut torch.free_threaded.iter().copied());
        let range = format!("{} to {}", shown(torch.python[0]), shown(torch.python[1]));
        let range = if is_free {
            format!("without the lock {}", if free.is_empty() { "none" } else { &free })
        } else {
            range
        };
        format!("torch {}: {range}", shown(torch.version))
    });
    let builds = builds.collect::<Vec<_>>().join("; ");
    Some(format!("no torch for CUDA {} is built for Python {python} ({builds})", shown(toolkit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_says_why() {
        let table = table();
        assert_eq!(table.len(), 14);
        let why = |python, cuda, torch| why_not(&table, python, cuda, torch);
        assert_eq!(why("3.12", "12.9.1", None), None);
        assert_eq!(why("3.13t", "13.0.2", Some("2.9.1")), None);
        for (python, cuda, torch, part) in [
            ("3.14", "12.9.1", None, "(torch 2.8: 3.9 to 3.13)"),
            (
                "3.12",
                "12.9.1",
                Some("2.9.0"),
                "torch 2.9 is not built for CUDA 12.9, only for 12.6, 12.8, 13.0",
            ),
            ("3.12", "11.0.1", None, "no torch is built for CUDA 11.0"),
            ("3.13t", "13.2.0", None, "without the lock 3.14"),
            ("3.12", "12.8", Some("3.7"), "torch 3.7 is not known"),
            ("x", "12.8", None, "no version of Python"),
        ] {
            let reason = why(python, cuda, torch).unwrap();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
