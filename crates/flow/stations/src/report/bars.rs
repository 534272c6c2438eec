//! Horizontal bars as plain elements with a width in percent: they wrap and shrink with the page.

use maud::{Markup, html};

/// One bar.
pub struct Bar {
    /// Name at the left.
    pub name: String,
    /// Length; bars are drawn relative to the longest.
    pub amount: f64,
    /// Figures at the right.
    pub figures: String,
}

/// Draws bars, longest first as given. Beyond `most` rows the rest is told in one line.
pub fn bars(rows: &[Bar], most: usize) -> Markup {
    let longest = rows.iter().map(|row| row.amount).fold(0.0, f64::max);
    let total: f64 = rows.iter().map(|row| row.amount).sum();
    html! {
        div.bars {
            @for row in rows.iter().take(most) {
                @let share = if total > 0.0 { 100.0 * row.amount / total } else { 0.0 };
                div.bar title=(format!("{}: {} ({share:.1}%)", row.name, row.figures)) {
                    span.name { (row.name) }
                    span.track { i style={ "width:" (format!("{:.2}", percent(row.amount, longest))) "%" } {} }
                    span.figures { (row.figures) b { (format!("{share:.1}%")) } }
                }
            }
            @if rows.len() > most {
                p.muted { "and " (rows.len() - most) " more with less than " (rows[most - 1].figures) " each" }
            }
        }
    }
}

/// A span of time on a common axis.
pub struct Span {
    /// Name at the left.
    pub name: String,
    /// Smaller text beside the name.
    pub kind: String,
    /// Begin, seconds on the common axis.
    pub begin: f64,
    /// Length in seconds.
    pub seconds: f64,
    /// Figures at the right.
    pub figures: String,
    /// Class of the bar: how the span ended.
    pub class: &'static str,
    /// Hover text.
    pub title: String,
}

/// Draws spans over a common time axis.
pub fn timeline(rows: &[Span]) -> Markup {
    let end = rows.iter().map(|row| row.begin + row.seconds).fold(0.0, f64::max);
    html! {
        div.bars.timeline {
            @for row in rows {
                @let begin = percent(row.begin, end).min(99.0);
                @let width = percent(row.seconds, end).max(0.6).min(100.0 - begin);
                div.bar title=(row.title) {
                    span.name { (row.name) small { (row.kind) } }
                    span.track {
                        i.(row.class) style=(format!("margin-left:{begin:.2}%;width:{width:.2}%")) {}
                    }
                    span.figures { (row.figures) }
                }
            }
        }
    }
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (100.0 * part / whole).clamp(0.0, 100.0) } else { 0.0 }
}
