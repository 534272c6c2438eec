//! Line charts as inline SVG: axes with round ticks, and a hover band per point that shows its values.
//!
//! Hover needs no script: each band holds a dot and a label that the style sheet shows while the pointer is over
//! it, and a `title` for readers that do not draw. Long series are averaged into at most [`MAX_POINTS`] buckets,
//! which keeps a page of a hundred thousand steps small.
//!
//! Not covered: logarithmic axes, more than one unit per axis.

use maud::{Markup, html};

/// Points drawn per series.
const MAX_POINTS: usize = 400;
/// Bands that react to the pointer.
const MAX_BANDS: usize = 120;

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// One line of a chart.
pub struct Series {
    /// Name in the legend and in hover labels.
    pub name: &'static str,
    /// Class that gives the line its colour and width.
    pub class: &'static str,
    /// Points with ascending x; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether every point gets a visible dot.
    pub dots: bool,
}

/// A chart of one or more lines over the same axes; the last series is the one that hover reads.
pub struct LineChart {
    /// Text under the x axis.
    pub x_label: &'static str,
    /// Text beside the y axis.
    pub y_label: &'static str,
    /// The lines, drawn in order.
    pub series: Vec<Series>,
}

/// Draws a chart; nothing where no series has a finite point.
pub fn line_chart(chart: &LineChart) -> Markup {
    let series: Vec<(&Series, Vec<(f64, f64)>)> =
        chart.series.iter().map(|s| (s, reduce(&finite(&s.points), MAX_POINTS))).collect();
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let Some(frame) = Frame::around(all()) else {
        return html! { p.muted { "No points were recorded." } };
    };
    html! {
        div.chart {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (chart.y_label) " over " (chart.x_label) } {
                (axes(&frame, chart))
                @for (one, points) in &series {
                    path.line.(one.class) d=(frame.path(points)) {}
                    @if one.dots {
                        @for &point in points {
                            @let (x, y) = frame.place(point);
                            circle.dot.(one.class) cx=(round(x)) cy=(round(y)) r="3.2" {}
                        }
                    }
                }
                @if let Some((one, points)) = series.last() { (bands(&frame, one, points, chart)) }
            }
            @if series.len() > 1 {
                div.legend {
                    @for (one, _) in &series { span { i.(one.class) {} (one.name) } }
                }
            }
        }
    }
}

/// The data ranges and the way from data to the drawing.
struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn around(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Frame> {
        let x = Axis::around(points.clone().map(|p| p.0), 6)?;
        let y = Axis::around(points.map(|p| p.1), 5)?;
        Some(Frame { x: Axis { low: x.data_low, high: x.data_high.max(x.data_low + 1e-12), ..x }, y })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.x.low) / (self.x.high - self.x.low);
        let up = (y - self.y.low) / (self.y.high - self.y.low);
        (LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::with_capacity(points.len() * 12);
        for (i, &point) in points.iter().enumerate() {
            let (x, y) = self.place(point);
            path.push(if i == 0 { 'M' } else { 'L' });
            path.push_str(&format!("{} {}", round(x), round(y)));
        }
        path
    }
}

/// A range with round ticks.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    data_low: f64,
    data_high: f64,
}

impl Axis {
    /// An axis whose ends are multiples of a step of 1, 2 or 5 times a power of ten, about `wanted` of them.
    fn around(values: impl Iterator<Item = f64>, wanted: u32) -> Option<Axis> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return None;
        }
        let span = if high > low { high - low } else { high.abs().max(1.0) * 0.2 };
        let raw = span / f64::from(wanted);
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * magnitude)
            .into_iter()
            .find(|&step| step >= raw * 0.999)
            .unwrap_or(10.0 * magnitude);
        let bottom = (low / step).floor() * step;
        let top = (high / step).ceil() * step;
        let top = if top > bottom { top } else { bottom + step };
        Some(Axis { low: bottom, high: top, step, data_low: low, data_high: high })
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * self.step).collect()
    }

    fn label(&self, tick: f64) -> String {
        if self.step < 1.0 {
            let places = (-self.step.log10()).ceil().clamp(0.0, 6.0) as usize;
            format!("{tick:.places$}")
        } else if tick.abs() >= 10_000.0 {
            format!("{}K", tick / 1000.0)
        } else {
            format!("{tick:.0}")
        }
    }
}

fn axes(frame: &Frame, chart: &LineChart) -> Markup {
    let bottom = HEIGHT - BOTTOM;
    html! {
        @for tick in frame.y.ticks() {
            @let y = round(frame.place((frame.x.low, tick)).1);
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
            text.tick x=(LEFT - 8.0) y=(y) dy="0.32em" text-anchor="end" { (frame.y.label(tick)) }
        }
        @for tick in frame.x.ticks() {
            @let x = round(frame.place((tick, frame.y.low)).0);
            line.mark x1=(x) x2=(x) y1=(bottom) y2=(bottom + 4.0) {}
            text.tick x=(x) y=(bottom + 18.0) text-anchor="middle" { (frame.x.label(tick)) }
        }
        line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(bottom) y2=(bottom) {}
        text.label x=(LEFT + (WIDTH - LEFT - RIGHT) / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { (chart.x_label) }
        text.label transform={ "translate(13 " (TOP + (HEIGHT - TOP - BOTTOM) / 2.0) ") rotate(-90)" }
            text-anchor="middle" { (chart.y_label) }
    }
}

fn bands(frame: &Frame, series: &Series, points: &[(f64, f64)], chart: &LineChart) -> Markup {
    let points = reduce(points, MAX_BANDS);
    let places: Vec<(f64, f64)> = points.iter().map(|&p| frame.place(p)).collect();
    html! {
        @for (i, (&(x, y), &(value_x, value_y))) in places.iter().zip(&points).enumerate() {
            @let left = if i == 0 { LEFT } else { (places[i - 1].0 + x) / 2.0 };
            @let right = if i + 1 == places.len() { WIDTH - RIGHT } else { (places[i + 1].0 + x) / 2.0 };
            @let anchor = if x > WIDTH * 0.7 { "end" } else { "start" };
            @let text = format!("{} {:.0} · {} {:.4}", chart.x_label, value_x, series.name, value_y);
            g.band {
                rect x=(round(left)) y=(TOP) width=(round((right - left).max(0.5))) height=(HEIGHT - TOP - BOTTOM) {
                    title { (text) }
                }
                line.cursor x1=(round(x)) x2=(round(x)) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                circle.dot.(series.class) cx=(round(x)) cy=(round(y)) r="4.5" {}
                text.note x=(round(if anchor == "end" { x - 8.0 } else { x + 8.0 })) y=(TOP + 12.0) text-anchor=(anchor) {
                    (text)
                }
            }
        }
    }
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

/// At most `most` points: the first and the last as they are, means of equal buckets between them.
fn reduce(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let ([first, middle @ .., last], true) = (points, points.len() > most) else {
        return points.to_vec();
    };
    let buckets = most - 2;
    let mut reduced = Vec::with_capacity(most);
    reduced.push(*first);
    for bucket in 0..buckets {
        let part = &middle[bucket * middle.len() / buckets..(bucket + 1) * middle.len() / buckets];
        let sum = part.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        reduced.push((sum.0 / part.len() as f64, sum.1 / part.len() as f64));
    }
    reduced.push(*last);
    reduced
}

/// Coordinates with one decimal: finer is not visible and doubles the page.
fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let check = |low: f64, high: f64, wanted: &[&str]| {
            let axis = Axis::around([low, high].into_iter(), 5).expect("because the range is not empty");
            let labels: Vec<String> = axis.ticks().iter().map(|&t| axis.label(t)).collect();
            assert_eq!(labels, wanted, "{low}..{high}");
        };
        check(3.2, 8.3, &["2", "4", "6", "8", "10"]);
        check(0.0, 1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(0.0, 50_000.0, &["0", "10K", "20K", "30K", "40K", "50K"]);
        check(2.0, 2.0, &["2.0", "2.1"]);
    }

    #[test]
    fn reducing_keeps_ends_and_mean() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), f64::from(i) * 2.0)).collect();
        let reduced = reduce(&points, 100);
        assert_eq!(reduced.len(), 100);
        assert_eq!((reduced[0], reduced[99]), (points[0], points[9_999]));
        assert!(reduced.windows(2).all(|w| w[0].0 < w[1].0), "x stays ascending");
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let series = |points| Series { name: "loss", class: "a", points, dots: false };
        let chart = |points| LineChart { x_label: "step", y_label: "nats", series: vec![series(points)] };
        assert!(line_chart(&chart(vec![(0.0, f64::NAN)])).into_string().contains("No points"));
        let drawn = line_chart(&chart(vec![(0.0, 1.0), (1.0, f64::INFINITY), (2.0, 2.0)])).into_string();
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
