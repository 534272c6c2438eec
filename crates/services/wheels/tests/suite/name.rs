//! Names that exist, names that must be refused, and the order of names.

use wootz_testkit::Random;
use wootz_wheels::{Variants, WheelName, project};

const PUBLISHED: &str = include_str!("../data/filenames.txt");

fn parse(name: &str) -> WheelName {
    WheelName::parse(name, Variants::Refused).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with a name.
fn rule(name: &str) -> String {
    WheelName::parse(name, Variants::Refused).expect_err(name).rule
}

#[test]
fn published_names_are_read_and_written_again() {
    assert_eq!(PUBLISHED.lines().count(), 324);
    for line in PUBLISHED.lines() {
        let name = parse(line);
        assert_eq!(name.to_string(), line);
        assert!(name.project.starts_with("flash-attn"), "{line}");
        assert!(name.version.is_local() && name.build.is_none() && name.variant.is_none(), "{line}");
    }
}

#[test]
fn what_a_loose_reader_takes_is_refused_with_the_rule() {
    let cases = [
        ("foo-1.0-a-py3-none-any.whl", "does not begin with a digit"),
        ("foo-bar-1.0-py3-none-any.whl", "no version"),
        ("foo-1.0-py3-none-any-x.whl", "does not begin with a digit"),
        ("foo__bar-1.0-py3-none-any.whl", "two underscores"),
        ("foo-notaversion-py3-none-any.whl", "no version"),
        ("a-b-c-d-e.whl", "no version"),
        ("numpy-2.3.2-cp313-cp313t-manylinux_2_27_x86_64.manylinux_2_28_x86_64-x86_64_v3.whl", "digit"),
        ("foo-1.0-none-any.whl", "4 parts"),
        ("foo-1.0-py3-none-any.WHL", "`.whl`"),
        ("foo-1.0.whl", "2 parts"),
        ("foo.whl", "1 part"),
        (".whl", "1 part"),
        ("-1.0-py3-none-any.whl", "empty"),
        ("foo-1.0-1-1-py3-none-any.whl", "7 parts"),
        ("foo-1.0-py3..py2-none-any.whl", "a Python tag is empty"),
        ("foo-1.0-py3-none-.whl", "a platform tag is empty"),
        ("foo-1.0-3-none-any.whl", "begins with a letter"),
        ("foo+bar-1.0-py3-none-any.whl", "written `_`"),
        ("foo-1.0-py3-none-a/b.whl", "'/'"),
        ("foo- 1.0-py3-none-any.whl", "' '"),
        ("größe-1.0-py3-none-any.whl", "'ö'"),
        ("foo-1.18446744073709551616-py3-none-any.whl", "less than or equal to 18446744073709551615"),
        ("foo-1.0-18446744073709551616-py3-none-any.whl", "64 bits"),
    ];
    for (name, expected) in cases {
        let rule = rule(name);
        assert!(rule.contains(expected), "{name}: {rule}");
    }
    assert_eq!(
        WheelName::parse("x", Variants::Refused).unwrap_err().to_string(),
        "read the wheel name `x`: it does not end in `.whl`"
    );
}

#[test]
fn parts_mean_what_they_say() {
    let name =
        parse("Flash.Attn_extra-2.5.0-1a.b-cp312.py3-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl");
    assert_eq!(name.project, "flash-attn-extra");
    assert_eq!(name.distribution, "Flash.Attn_extra");
    let build = name.build.clone().unwrap();
    assert_eq!((build.number, build.suffix.as_str()), (1, "a.b"));
    let tags: Vec<String> = name.tags().iter().map(ToString::to_string).collect();
    assert_eq!(
        tags,
        [
            "cp312-cp312-manylinux2014_x86_64",
            "cp312-cp312-manylinux_2_17_x86_64",
            "py3-cp312-manylinux2014_x86_64",
            "py3-cp312-manylinux_2_17_x86_64",
        ]
    );
    assert_eq!(name.dist_info(), "Flash.Attn_extra-2.5.0.dist-info");
    let labelled = name.with_version("2.5.0+CU128torch2.9".parse().unwrap());
    assert!(labelled.to_string().starts_with("Flash.Attn_extra-2.5.0+cu128torch2.9-1a.b-"), "{labelled}");
    assert_eq!(project("A-_.b"), "a-b");
}

#[test]
fn variants_are_read_where_they_are_asked_for() {
    let variant = |name: &str| WheelName::parse(name, Variants::Allowed);
    let six = "numpy-2.3.2-cp313-cp313t-manylinux_2_28_x86_64-x86_64_v3.whl";
    let name = variant(six).unwrap();
    assert_eq!((name.variant.as_deref(), name.build.as_ref()), (Some("x86_64_v3"), None));
    assert_eq!(name.to_string(), six);
    let seven = variant("numpy-2.3.2-1-cp313-cp313t-linux_x86_64-null.whl").unwrap();
    assert_eq!((seven.variant.as_deref(), seven.build.map(|build| build.number)), (Some("null"), Some(1)));
    let built = variant("numpy-2.3.2-1-cp313-cp313t-linux_x86_64.whl").unwrap();
    assert_eq!((built.variant, built.build.map(|build| build.number)), (None, Some(1)));
    for wrong in ["foo-1-py3-none-any-CU12.whl", "foo-1-py3-none-any-a+b.whl", "foo-1-py3-none-any-.whl"] {
        assert!(variant(wrong).unwrap_err().rule.contains("label"), "{wrong}");
    }
    assert!(variant("foo-1-a-py3-none-any-x.whl").unwrap_err().rule.contains("does not begin with a digit"));
}

#[test]
fn wheels_stand_in_the_order_in_which_installers_prefer() {
    let ordered = [
        "a-1.0.dev1-py3-none-any.whl",
        "a-1.0-py3-none-any.whl",
        "a-1.0-2-py3-none-any.whl",
        "a-1.0-10-py3-none-any.whl",
        "a-1.0-10a-py3-none-any.whl",
        "a-1.0+cu126-py3-none-any.whl",
        "a-1.0+cu126.1-py3-none-any.whl",
        "a-1.0.post1-py3-none-any.whl",
        "a-1.9-py3-none-any.whl",
        "a-1.10-py3-none-any.whl",
        "A_b-0.1-py3-none-any.whl",
    ];
    let names: Vec<WheelName> = ordered.iter().map(|name| parse(name)).collect();
    let mut random = Random::of(0, "order");
    for _ in 0..50 {
        let mut mixed = names.clone();
        for at in (1..mixed.len()).rev() {
            mixed.swap(at, random.below(at + 1));
        }
        mixed.sort();
        let sorted: Vec<String> = mixed.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ordered);
    }
    // One version, two spellings: neither is lost where names are keys.
    assert_ne!(parse("a-1.0-py3-none-any.whl"), parse("a-1.0.0-py3-none-any.whl"));
}
