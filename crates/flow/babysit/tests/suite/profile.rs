//! Profiles: what is taken without a word, and mistakes at their lines.

#![allow(clippy::unwrap_used, reason = "a profile that cannot be read has failed")]

use crate::PROFILE;
use wootz_babysit::{newest_whole, read};

#[test]
fn what_is_not_said_has_a_default() {
    let profile = read("p.yaml", PROFILE).unwrap();
    assert!(profile.machine.spot);
    assert_eq!((profile.poll_seconds, profile.failures_most), (60, 5));
    assert_eq!((profile.training.last_step, profile.training.optimizer_ranks), (None, 2));
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let mistakes = [
        ("poll_secs: 5", "p.yaml:10:1: unknown key `poll_secs`; did you mean `poll_seconds`?"),
        ("poll_seconds: 0", "p.yaml:10:1: here belongs a whole number from 1"),
        ("poll_seconds: soon", "p.yaml:10:1: here belongs a whole number from 1"),
        ("setup: [a]", "p.yaml:10:1: here belongs a text; write it in quotes"),
    ];
    for (line, expected) in mistakes {
        let error = read("p.yaml", &format!("{PROFILE}{line}\n")).unwrap_err();
        assert_eq!(error.to_string(), format!("read {expected}"));
    }
    let changed = [
        ("small", "../small", "p.yaml:1:1: use letters"),
        ("zone: zone-b, ", "", "p.yaml:2:1: the key `zone` is missing"),
        ("gs://bucket", "bucket", "p.yaml:7:3: checkpoints begin with gs://"),
        ("={step}", "", "p.yaml:3:1: the key `resume` is missing"),
        ("[SECRET_KEY]", "[SECRET_KEY=abc]", "p.yaml:9:11: a secret is the name"),
    ];
    for (from, to, expected) in changed {
        assert!(PROFILE.contains(from));
        let error = read("p.yaml", &PROFILE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("read {expected}")), "{error}");
    }
    let both = PROFILE.replacen("small", "../small", 1) + "other: 1\n";
    assert_eq!(read("p.yaml", &both).unwrap_err().problems.len(), 2);
}

#[test]
fn a_checkpoint_that_lacks_a_file_is_passed_over() {
    let whole = |step: u64| {
        vec![
            format!("gs://b/r/model_{step:06}.pt"),
            format!("gs://b/r/meta_{step:06}.json"),
            format!("gs://b/r/optim_{step:06}_rank0.pt"),
            format!("gs://b/r/optim_{step:06}_rank1.pt"),
        ]
    };
    for missing in 0..4 {
        let mut newest = whole(200);
        newest.remove(missing);
        let names =
            [whole(100), newest, vec!["gs://b/r/".to_owned(), "gs://b/r/model_x.pt".to_owned()]].concat();
        assert_eq!(newest_whole(names.iter().map(String::as_str), 2), Some(100));
    }
    let names = [whole(100), whole(1_000_000)].concat();
    assert_eq!(newest_whole(names.iter().map(String::as_str), 2), Some(1_000_000));
    assert_eq!(newest_whole(names.iter().map(String::as_str), 3), None);
    assert_eq!(newest_whole([], 1), None);
}
