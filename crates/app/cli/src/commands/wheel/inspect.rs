//! `wootz wheel inspect`: what is inside a wheel, and whether it is what the wheel says.

use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::path::PathBuf;
use wootz_schema::ExitCode;
use wootz_schema::wheel::{WheelInspection, WheelLabel, WheelNeeds};
use wootz_stdx::human;
use wootz_wheels::Variants;

/// Say what is inside a wheel, and what in it is not as the wheel says.
///
/// Compares the file's name, METADATA, WHEEL and RECORD with one another and with every file's hash, and reads from shared
/// libraries what they need: symbols of glibc and of the C++ runtime, torch with the ABI of its strings, other libraries, and
/// the GPU architectures of the embedded device code. Nothing in the wheel is run, and no other tool is needed.
///
/// Exits with 0 when all is well and with 1 when something was found.
#[derive(clap::Args)]
pub struct Inspect {
    /// Wheels.
    #[arg(value_name = "WHEEL", required = true)]
    wheels: Vec<PathBuf>,
    /// Take names that end in the label of a variant (the draft PEP 825), too.
    #[arg(long)]
    variants: bool,
}

/// Runs the command.
pub fn run(args: &Inspect) -> Result<Outcome, Failure> {
    let variants = if args.variants { Variants::Allowed } else { Variants::Refused };
    let wheels = args.wheels.iter().map(|wheel| wootz_wheels::inspect(wheel, variants));
    let told: Vec<WheelInspection> = wheels.collect::<Result<_, _>>()?;
    let well = told.iter().all(|wheel| wheel.findings.is_empty());
    Ok(Outcome {
        text: told.iter().map(render).collect::<Vec<String>>().join("\n").into(),
        json: json!({ "wheels": told }),
        exit: if well { ExitCode::Ok } else { ExitCode::Failed },
    })
}

fn render(wheel: &WheelInspection) -> String {
    let mut rows = vec![
        ("wheel", format!("{}, {}", wheel.file, human::bytes(wheel.bytes))),
        ("sha256", wheel.sha256.clone()),
        ("version", format!("{} {}", wheel.name.project, wheel.name.version)),
    ];
    rows.extend(wheel.name.label.as_ref().map(|label| ("label", label_text(label))));
    if let Some(metadata) = &wheel.metadata {
        rows.extend(metadata.requires_python.clone().map(|python| ("python", python)));
        rows.extend(
            (!metadata.requires_dist.is_empty()).then(|| ("requires", metadata.requires_dist.join(", "))),
        );
    }
    rows.push(("files", format!("{}, {} of them verified by RECORD", wheel.entries, wheel.verified)));
    if let Some(needs) = &wheel.needs {
        rows.push(("libraries", wheel.libraries.len().to_string()));
        rows.extend(needs_rows(needs));
    }
    let mut text = facts(&rows);
    if !wheel.findings.is_empty() {
        let header = [("rule", Align::Left), ("file", Align::Left), ("found", Align::Left)];
        let rows: Vec<Vec<String>> = wheel
            .findings
            .iter()
            .map(|finding| {
                let entry = finding.entry.clone().unwrap_or_else(|| "-".to_owned());
                vec![finding.rule.name().to_owned(), entry, finding.message.clone()]
            })
            .collect();
        text += &format!("\n{}", table(&header, &rows));
    }
    text
}

fn needs_rows(needs: &WheelNeeds) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    rows.extend(needs.glibc.clone().map(|glibc| ("glibc", glibc)));
    rows.push((
        "platform",
        needs.manylinux.clone().unwrap_or_else(|| "no manylinux has its symbols".to_owned()),
    ));
    rows.extend((!needs.outside.is_empty()).then(|| ("outside", needs.outside.join(", "))));
    rows.extend(needs.cxx11abi.map(|new| ("cxx11abi", new.to_string())));
    rows.extend((!needs.cuda.is_empty()).then(|| ("cuda", needs.cuda.join(" "))));
    rows
}

/// What a label says, in words.
pub fn label_text(label: &WheelLabel) -> String {
    let mut words = Vec::new();
    words.extend(label.cuda.as_ref().map(|cuda| format!("CUDA {cuda}")));
    words.extend(label.rocm.as_ref().map(|rocm| format!("ROCm {rocm}")));
    words.extend(label.torch.as_ref().map(|torch| format!("torch {torch}")));
    words.extend(label.cxx11abi.map(|new| format!("cxx11abi {new}")));
    words.extend(label.others.iter().cloned());
    words.join(", ")
}
