//! Columns of text, as wide as their widest cell.

/// Which side of its column a cell stands at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// Rows of cells under a header, two spaces apart; no trailing spaces.
pub fn table<Row: AsRef<[Cell]>, Cell: AsRef<str>>(header: &[(&str, Align)], rows: &[Row]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|(name, _)| width(name)).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row.as_ref()) {
            *widest = (*widest).max(width(cell.as_ref()));
        }
    }
    let line_bytes = widths.iter().map(|width| width + 2).sum::<usize>();
    let mut text = String::with_capacity(line_bytes * (rows.len() + 1));
    let aligns = || widths.iter().zip(header.iter().map(|(_, align)| *align));
    push_line(&mut text, header.iter().map(|(name, _)| *name).zip(aligns()));
    for row in rows {
        push_line(&mut text, row.as_ref().iter().map(AsRef::as_ref).zip(aligns()));
    }
    text
}

fn width(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

fn push_line<'a>(text: &mut String, cells: impl Iterator<Item = (&'a str, (&'a usize, Align))>) {
    for (cell, (column, align)) in cells {
        let padding = column - width(cell);
        let (before, behind) = if align == Align::Left { (0, padding) } else { (padding, 0) };
        push_spaces(text, before);
        text.push_str(cell);
        push_spaces(text, behind + 2);
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn push_spaces(text: &mut String, count: usize) {
    const SPACES: &str = "                                ";
    for start in (0..count).step_by(SPACES.len()) {
        text.push_str(&SPACES[..SPACES.len().min(count - start)]);
    }
}

/// Names and values, one pair a line, values aligned.
pub fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "1234567".to_owned()]];
        let text = table(&[("step", Align::Left), ("time", Align::Right)], &rows);
        assert_eq!(text, "step       time\na             1\nlonger  1234567\n");
    }
}
