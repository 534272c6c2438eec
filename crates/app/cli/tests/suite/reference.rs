//! The help of every command as one snapshot: a change of the command line is seen in review.
//!
//! `UPDATE_EXPECT=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "a page that cannot be set up has failed")]

use std::process::Command;

#[test]
fn the_reference_is_up_to_date() {
    let mut text = String::from("# Reference of the wootz command line\n");
    describe(&[], &mut text);
    expect_test::expect_file!["reference.md"].assert_eq(&text);
}

/// Appends a command's help, then that of its subcommands.
fn describe(path: &[&str], text: &mut String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wootz"))
        .args(path)
        .arg("--help")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{path:?} --help failed");
    let help = String::from_utf8(output.stdout).unwrap();
    let title = ["wootz"].iter().chain(path).copied().collect::<Vec<_>>().join(" ");
    text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", help.trim_end()));
    for name in subcommands(&help) {
        let path: Vec<&str> = path.iter().copied().chain([name]).collect();
        describe(&path, text);
    }
}

fn subcommands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}
