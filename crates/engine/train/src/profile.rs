//! Where the time of one optimizer step goes: a table of its kernels beside their rooflines, and a trace to scroll through.
//!
//! Kernels are timed in a run of their own, with a time stamp between each two; the step's own time is the host's clock
//! around runs as training does them. What is left between the two is time in no kernel. Short kernels look longer in a
//! trace than they are, since a device needs a microsecond or two to record a time, and what runs side by side in training
//! stands in line; the share in no kernel can therefore be below zero.

use crate::pretrain::TrainError;
use crate::trainer::Seen;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use wootz_program::{Parts, Peaks, Span, Watts};
use wootz_schema::profile::{KernelTime, PeakRates, Profile, ProgramTime, VERSION};
use wootz_stdx::file::write_atomic;

/// The table, for people.
pub const MARKDOWN: &str = "profile.md";
/// The figures.
pub const JSON: &str = "profile.json";
/// The trace, in Chrome's format: open it in a browser's tracing page or in Perfetto.
pub const TRACE: &str = "trace.json";

/// Programs of a step in their order.
const PROGRAMS: [&str; 4] = ["micro", "reduce", "norm", "update"];
/// Runs of a program in a trace: more would only repeat.
const TRACED_RUNS: usize = 2;

/// What was profiled.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What ran it.
    pub backend: String,
    /// Its number formats.
    pub numerics: String,
    /// Its data sheet.
    pub peaks: Option<Peaks>,
    /// Micro-steps of a step, or their slices where they are cut.
    pub accumulation: u64,
    /// Tokens of a step.
    pub tokens: u64,
    /// Time and power of a slice in parts, where the device can tell.
    pub parts: Option<Parts>,
}

/// The profile of a step from timed and from traced runs; each program's runs are averaged, and counted as often as it runs
/// in a step.
pub fn summarize(subject: Subject, timed: &[Seen], traced: &[Seen]) -> Profile {
    let mut programs = Vec::new();
    let mut kernels: BTreeMap<&str, KernelTime> = BTreeMap::new();
    for name in PROGRAMS {
        let runs = if name == "micro" { subject.accumulation } else { 1 };
        let of_name: Vec<&Seen> = traced.iter().filter(|seen| seen.program == name).collect();
        if of_name.is_empty() {
            continue;
        }
        let weight = runs as f64 / of_name.len() as f64;
        let spans = || of_name.iter().flat_map(|seen| &seen.spans);
        spans().for_each(|span| add(&mut kernels, span, weight, subject.peaks));
        programs.push(ProgramTime {
            name: name.to_owned(),
            runs,
            launches: of_name[0].spans.len() as u64,
            wall_ms: median(timed.iter().filter(|seen| seen.program == name).filter_map(|seen| seen.seconds)),
            parts: subject.parts.filter(|_| name == "micro").map(in_parts),
            kernels_ms: 1e3 * spans().map(|span| span.seconds).sum::<f64>() / of_name.len() as f64,
        });
    }
    let kernels_ms = kernels.values().map(|kernel| kernel.ms).sum::<f64>();
    let step_ms = programs.iter().map(|p| p.wall_ms.map(|ms| ms * p.runs as f64)).sum::<Option<f64>>();
    Profile {
        version: VERSION,
        backend: subject.backend,
        numerics: subject.numerics,
        accumulation: subject.accumulation,
        tokens: subject.tokens,
        step_ms: step_ms.filter(|ms| *ms > 0.0),
        kernels_ms,
        outside_share: step_ms.filter(|ms| *ms > 0.0).map(|ms| 1.0 - kernels_ms / ms),
        roofline_ms: subject.peaks.map(|_| kernels.values().filter_map(|k| k.roofline_ms).sum()),
        peaks: subject.peaks.map(|peaks| PeakRates {
            tflops: peaks.flops_per_second / 1e12,
            fp8_tflops: peaks.fp8_flops_per_second / 1e12,
            terabytes_per_second: peaks.bytes_per_second / 1e12,
        }),
        programs,
        kernels: finished(kernels, kernels_ms),
    }
}

fn add<'a>(kernels: &mut BTreeMap<&'a str, KernelTime>, span: &'a Span, weight: f64, peaks: Option<Peaks>) {
    let kernel = kernels.entry(&span.name).or_insert_with(|| KernelTime {
        name: span.name.clone(),
        calls: 0,
        ms: 0.0,
        share: 0.0,
        flops: 0,
        bytes: 0,
        tflops: 0.0,
        terabytes_per_second: 0.0,
        roofline_ms: peaks.map(|_| 0.0),
    });
    // Counts are averages too until `finished`: in units of 1/1024 run, so that thirds add up to a whole.
    kernel.calls += (weight * FINE).round() as u64;
    kernel.ms += weight * span.seconds * 1e3;
    kernel.flops += (weight * span.flops as f64).round() as u64;
    kernel.bytes += (weight * span.bytes as f64).round() as u64;
    if let (Some(ms), Some(peaks)) = (&mut kernel.roofline_ms, peaks) {
        *ms += weight * 1e3 * peaks.least_seconds(&span.name, span.flops, span.bytes);
    }
}

const FINE: f64 = 1024.0;

fn in_parts(parts: Parts) -> wootz_schema::profile::Parts {
    let watts = |watts: Watts| wootz_schema::profile::Watts {
        whole: watts.whole,
        products: watts.products,
        rest: watts.rest,
        idle: watts.idle,
    };
    wootz_schema::profile::Parts {
        products_ms: 1e3 * parts.products_seconds,
        rest_ms: 1e3 * parts.rest_seconds,
        watts: parts.watts.map(watts),
    }
}

fn finished(kernels: BTreeMap<&str, KernelTime>, total_ms: f64) -> Vec<KernelTime> {
    let rate = |amount: u64, ms: f64| if ms > 0.0 { amount as f64 / (ms * 1e-3) / 1e12 } else { 0.0 };
    let mut kernels: Vec<KernelTime> = kernels
        .into_values()
        .map(|kernel| KernelTime {
            calls: (kernel.calls as f64 / FINE).round() as u64,
            share: if total_ms > 0.0 { kernel.ms / total_ms } else { 0.0 },
            tflops: rate(kernel.flops, kernel.ms),
            terabytes_per_second: rate(kernel.bytes, kernel.ms),
            ..kernel
        })
        .collect();
    kernels.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    kernels
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.map(|seconds| 1e3 * seconds).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The header of the kernel table and its rows.
pub fn rows(profile: &Profile) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut header = vec!["kernel", "calls", "ms", "share %", "TFLOP/s", "TB/s"];
    if profile.roofline_ms.is_some() {
        header.extend(["roofline ms", "of roofline %"]);
    }
    let row = |kernel: &KernelTime| {
        let mut row = vec![
            kernel.name.clone(),
            kernel.calls.to_string(),
            format!("{:.3}", kernel.ms),
            format!("{:.1}", 100.0 * kernel.share),
            format!("{:.1}", kernel.tflops),
            format!("{:.3}", kernel.terabytes_per_second),
        ];
        if let Some(ms) = kernel.roofline_ms {
            let share = if kernel.ms > 0.0 { 100.0 * ms / kernel.ms } else { 0.0 };
            row.extend([format!("{ms:.3}"), format!("{share:.0}")]);
        }
        row
    };
    (header, profile.kernels.iter().map(row).collect())
}

/// The lines above the table.
pub fn facts(profile: &Profile) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("device", format!("{}, {}", profile.backend, profile.numerics)),
        ("step", format!("{} micro-steps and an update, {} tokens", profile.accumulation, profile.tokens)),
    ];
    facts.extend(profile.step_ms.map(|ms| ("wall time", format!("{ms:.2} ms"))));
    facts.push(("in kernels", format!("{:.2} ms", profile.kernels_ms)));
    facts.extend(profile.outside_share.map(|share| ("in no kernel", format!("{:.1} %", 100.0 * share))));
    facts.extend(profile.roofline_ms.map(|ms| ("at the roofline", format!("{ms:.2} ms"))));
    for program in &profile.programs {
        let wall = program.wall_ms.map(|ms| format!(", {ms:.3} ms by the clock")).unwrap_or_default();
        let (runs, launches, ms) = (program.runs, program.launches, program.kernels_ms);
        let name = match program.name.as_str() {
            "micro" => "micro-step",
            "reduce" => "sum over ranks",
            "norm" => "norm",
            _ => "update",
        };
        facts.push((name, format!("{runs} × {launches} launches, {ms:.3} ms in kernels{wall}")));
        if let Some(parts) = &program.parts {
            facts.extend(facts_of_parts(runs, parts));
        }
    }
    facts
}

fn facts_of_parts(runs: u64, parts: &wootz_schema::profile::Parts) -> Vec<(&'static str, String)> {
    let line = |ms: f64, watts: Option<f64>| {
        let watts = watts.map(|watts| format!(" at {watts:.0} W")).unwrap_or_default();
        format!("{runs} × {ms:.3} ms behind one another{watts}")
    };
    let watts = parts.watts;
    let mut facts = vec![
        ("products and attention alone", line(parts.products_ms, watts.map(|watts| watts.products))),
        ("the rest alone", line(parts.rest_ms, watts.map(|watts| watts.rest))),
    ];
    if let (Some(watts), Some(least)) = (watts, parts.least_ms_at_this_power()) {
        let (whole, idle) = (watts.whole, watts.idle);
        let text = format!("{whole:.0} W whole, {idle:.0} W idle; the parts' energy takes {least:.3} ms");
        facts.push(("power", text));
    }
    facts
}

/// The profile as a page.
pub fn markdown(profile: &Profile) -> String {
    let mut text = String::from("# Profile of one optimizer step\n\n");
    for (name, value) in facts(profile) {
        writeln!(text, "- {name}: {value}").expect("a string grows, because writing to one never fails");
    }
    if let Some(peaks) = profile.peaks {
        let PeakRates { tflops, fp8_tflops, terabytes_per_second } = peaks;
        let sheet = format!("{tflops} TFLOP/s (8-bit {fp8_tflops}), {terabytes_per_second} TB/s");
        text.push_str(&format!(
            "- data sheet: {sheet}; a roofline is the larger of FLOP and bytes over these\n"
        ));
    }
    let (header, rows) = rows(profile);
    let right = "--:|".repeat(header.len() - 1);
    text.push_str(&format!("\n| {} |\n|:--|{right}\n", header.join(" | ")));
    rows.iter().for_each(|row| text.push_str(&format!("| {} |\n", row.join(" | "))));
    text
}

/// Writes the three files into a folder.
pub fn write(folder: &Path, profile: &Profile, traced: &[Seen]) -> Result<(), TrainError> {
    let figures =
        serde_json::to_vec_pretty(profile).expect("a profile serialises, because its keys are strings");
    let files = [
        (MARKDOWN, markdown(profile).into_bytes()),
        (JSON, figures),
        (TRACE, chrome_trace(traced).to_string().into_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        write_atomic(&path, &bytes).map_err(TrainError::io("write", &path))?;
    }
    Ok(())
}

/// Complete events, one a launch, one row a program; programs follow one another.
fn chrome_trace(traced: &[Seen]) -> Value {
    let mut events = Vec::new();
    let mut origin = 0.0;
    let ran = PROGRAMS.iter().filter(|name| traced.iter().any(|seen| seen.program == **name));
    for (row, name) in ran.enumerate() {
        events.push(
            json!({ "ph": "M", "name": "thread_name", "pid": 0, "tid": row, "args": { "name": name } }),
        );
        for seen in traced.iter().filter(|seen| seen.program == *name).take(TRACED_RUNS) {
            events.extend(seen.spans.iter().map(|span| {
                json!({
                    "ph": "X", "name": span.name, "pid": 0, "tid": row,
                    "ts": 1e6 * (origin + span.begin_seconds), "dur": 1e6 * span.seconds,
                    "args": { "flops": span.flops, "bytes": span.bytes },
                })
            }));
            origin += seen.spans.last().map_or(0.0, |span| span.begin_seconds + span.seconds);
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(program: &'static str, seconds: Option<f64>, spans: &[(&str, f64, u64, u64)]) -> Seen {
        let span = |(name, seconds, flops, bytes): &(&str, f64, u64, u64)| Span {
            name: (*name).to_owned(),
            begin_seconds: 0.0,
            seconds: *seconds,
            flops: *flops,
            bytes: *bytes,
        };
        Seen { program, seconds, spans: spans.iter().map(span).collect() }
    }

    fn profile() -> (Profile, Vec<Seen>) {
        let peaks = Peaks { flops_per_second: 1e12, fp8_flops_per_second: 2e12, bytes_per_second: 1e12 };
        let subject = Subject {
            backend: "device".to_owned(),
            numerics: "bf16".to_owned(),
            peaks: Some(peaks),
            accumulation: 4,
            tokens: 100,
            parts: Some(Parts {
                products_seconds: 0.009,
                rest_seconds: 0.002,
                watts: Some(Watts { whole: 500.0, products: 500.0, rest: 350.0, idle: 100.0 }),
            }),
        };
        let timed = [
            seen("micro", Some(0.012), &[]),
            seen("norm", Some(0.001), &[]),
            seen("update", Some(0.003), &[]),
        ];
        let gemm = |seconds| ("gemm", seconds, 4_000_000_000, 1_000_000);
        let traced = vec![
            seen("micro", None, &[gemm(0.007), ("norm", 0.002, 0, 1_000_000_000)]),
            seen("micro", None, &[gemm(0.009), ("norm", 0.002, 0, 1_000_000_000)]),
            seen("update", None, &[("adamw", 0.002, 0, 1_000_000_000)]),
        ];
        (summarize(subject, &timed, &traced), traced)
    }

    #[test]
    fn runs_are_averaged_and_counted_as_often_as_in_a_step() {
        let (profile, _) = profile();
        let figures: Vec<_> =
            profile.kernels.iter().map(|k| (k.name.as_str(), k.calls, k.ms, k.roofline_ms)).collect();
        let expected =
            [("gemm", 4, 32.0, Some(16.0)), ("norm", 4, 8.0, Some(4.0)), ("adamw", 1, 2.0, Some(1.0))];
        for (figure, expected) in figures.iter().zip(&expected) {
            assert_eq!((figure.0, figure.1), (expected.0, expected.1));
            assert!((figure.2 - expected.2).abs() < 1e-9, "{figure:?}");
            assert!((figure.3.unwrap_or(0.0) - expected.3.unwrap_or(0.0)).abs() < 1e-9, "{figure:?}");
        }
        assert_eq!(profile.kernels.len(), 3);
        let step = profile.step_ms.expect("all programs were timed");
        assert!((step - 51.0).abs() < 1e-9, "4 × 12 and the update: {step}");
        assert!((profile.kernels[0].tflops - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_page_and_the_trace_hold_every_kernel() {
        let (profile, traced) = profile();
        let page = markdown(&profile);
        assert!(
            page.contains("products and attention alone: 4 × 9.000 ms behind one another at 500 W"),
            "{page}"
        );
        assert!(page.contains("power: 500 W whole, 100 W idle; the parts' energy takes 10.000 ms"), "{page}");
        assert!(page.contains("| gemm | 4 | 32.000 | 76.2 | 0.5 | 0.000 | 16.000 | 50 |"), "{page}");
        let trace = chrome_trace(&traced);
        let events = trace["traceEvents"].as_array().map_or(0, Vec::len);
        assert_eq!(events, 2 + 5, "a name a row, and the launches");
    }
}
