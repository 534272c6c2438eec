//! What a merge makes of issues, case by case.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use wootz_tracker::TrackerError;
use wootz_tracker::merge::{Merged, Source, drive, exit_status, mend, merge};

fn source(bytes: &[u8]) -> Source<'_> {
    Source { name: Path::new("issues.jsonl"), bytes }
}

fn try_merge(base: &str, left: &str, right: &str) -> Result<Merged, TrackerError> {
    merge(source(base.as_bytes()), source(left.as_bytes()), source(right.as_bytes()))
}

/// Merges both ways round.
fn merged(base: &str, left: &str, right: &str) -> (String, usize) {
    let one = try_merge(base, left, right).unwrap();
    assert_eq!(one, try_merge(base, right, left).unwrap());
    (String::from_utf8(one.bytes).unwrap(), one.conflicts.len())
}

/// An issue with some fields set, or with null taken away.
fn issue(fields: Value) -> Value {
    let mut issue = json!({
        "id": "a-1", "title": "t", "description": "", "status": "open", "priority": 2, "issue_type": "task", "labels": [], "comments": [],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "blocks": [], "blocked_by": []
    });
    for (key, value) in fields.as_object().unwrap() {
        issue[key] = value.clone();
    }
    issue.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    issue
}

fn lines(issues: &[Value]) -> String {
    issues.iter().map(|issue| format!("{issue}\n")).collect()
}

/// Merges versions of one issue.
fn one(base: Value, left: Value, right: Value) -> (Value, usize) {
    let [base, left, right] = [base, left, right].map(|fields| lines(&[issue(fields)]));
    let (text, conflicts) = merged(&base, &left, &right);
    (serde_json::from_str(&text).unwrap(), conflicts)
}

#[test]
fn fields_that_differ_are_joined() {
    let (issue, conflicts) = one(
        json!({"labels": ["b", "old"], "x": {"deep": {"a": 1, "b": 1}}, "waiters": ["w"]}),
        json!({"labels": ["b"], "title": "new", "x": {"deep": {"a": 2, "b": 1}}, "waiters": ["w", "l"], "mine": 1.50}),
        json!({"labels": ["b", "old", "a"], "description": "d", "x": {"deep": {"a": 1, "b": 3}}, "waiters": ["r", "w"]}),
    );
    assert_eq!(conflicts, 0);
    for (key, expected) in [
        ("labels", json!(["a", "b"])),
        ("title", json!("new")),
        ("description", json!("d")),
        ("x", json!({"deep": {"a": 2, "b": 3}})),
        ("waiters", json!(["w", "l", "r"])),
        ("mine", json!(1.5)),
    ] {
        assert_eq!(issue[key], expected, "{key}");
    }
}

#[test]
fn texts_that_both_changed_both_stay() {
    let (merged, conflicts) =
        one(json!({}), json!({"title": "short", "x": 1}), json!({"title": "longer one", "x": "one"}));
    assert_eq!(merged["title"], "longer one");
    let kept = json!([
        {"field": "title", "value": "longer one"}, {"field": "title", "value": "short"},
        {"field": "x", "value": "one"}, {"field": "x", "value": 1}
    ]);
    assert_eq!((&merged["conflicts"], conflicts), (&kept, 4));

    // A third text joins the list; settling it empties the list.
    let base = lines(&[issue(json!({}))]);
    let (text, conflicts) = self::merged(
        &base,
        &lines(std::slice::from_ref(&merged)),
        &lines(&[issue(json!({"title": "third", "x": 1}))]),
    );
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((all["conflicts"].as_array().unwrap().len(), conflicts), (5, 1));
    let mut settled = all.clone();
    settled["title"] = json!("all of them");
    settled.as_object_mut().unwrap().remove("conflicts");
    let mut labelled = all.clone();
    labelled["labels"] = json!(["seen"]);
    let (text, conflicts) = self::merged(&lines(&[all]), &lines(&[settled]), &lines(&[labelled]));
    let end: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&end["title"], &end["labels"], end.get("conflicts"), conflicts),
        (&json!("all of them"), &json!(["seen"]), None, 0)
    );
}

#[test]
fn the_smaller_priority_and_the_later_time() {
    let (issue, conflicts) = one(
        json!({}),
        json!({"priority": 0, "updated_at": "2026-01-02T00:00:00+02:00"}),
        json!({"priority": 3, "updated_at": "2026-01-01T23:00:00Z"}),
    );
    assert_eq!(
        (&issue["priority"], &issue["updated_at"], conflicts),
        (&json!(0), &json!("2026-01-01T23:00:00Z"), 0)
    );
}

#[test]
fn where_two_sides_moved_an_issue_one_place_is_consistent() {
    let claim =
        |session: &str, at: &str| json!({"status": "in_progress", "session_id": session, "updated_at": at});
    let closed = |at: &str| json!({"status": "closed", "closed_at": at, "updated_at": at});
    let deferred = json!({"status": "in_progress", "original_status": "deferred"});
    let (early, late) = ("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
    let owned = claim("O", "2026-01-01T12:00:00Z");
    let free = json!({});
    let mut table = String::new();
    for (base, left, right) in [
        (&free, claim("L", late), claim("R", early)),
        (&free, closed(early), claim("R", late)),
        (&free, closed(early), closed(late)),
        (&free, claim("L", late), deferred.clone()),
        (&free, closed(late), deferred.clone()),
        (&owned, free.clone(), closed(early)),
        (&owned, free.clone(), claim("R", late)),
        (&owned, free.clone(), deferred.clone()),
        (&owned, free.clone(), json!({"status": "tombstone", "deleted_at": late})),
        (&owned, json!({"status": "in_progress", "session_id": "O", "title": "edited"}), closed(late)),
        (&closed(early), free.clone(), claim("R", late)),
    ] {
        let (issue, conflicts) = one(base.clone(), left, right);
        let text = |key: &str| issue.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let keys = ["status", "original_status", "session_id", "closed_at"].map(text);
        table.push_str(&format!("{}, {conflicts} told\n", keys.join(" ")));
    }
    expect_test::expect![[r#"
        in_progress - R -, 2 told
        closed - - 2026-01-02T00:00:00Z, 3 told
        closed - - 2026-01-03T00:00:00Z, 0 told
        in_progress - L -, 3 told
        closed - - 2026-01-03T00:00:00Z, 2 told
        closed - - 2026-01-02T00:00:00Z, 2 told
        in_progress - R -, 3 told
        in_progress deferred - -, 2 told
        open - - -, 2 told
        closed - - 2026-01-03T00:00:00Z, 0 told
        in_progress - R -, 3 told
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_claim_is_as_old_as_it_says() {
    let claim = |session: &str, claimed_at: Value, at: &str| json!({"status": "in_progress", "session_id": session, "claimed_at": claimed_at, "updated_at": at});
    let first = claim("L", json!("2026-01-02T00:00:00Z"), "2026-01-05T00:00:00Z");
    let (found, conflicts) = one(json!({}), first, claim("R", Value::Null, "2026-01-03T00:00:00Z"));
    assert_eq!(
        (&found["session_id"], &found["claimed_at"], conflicts),
        (&json!("L"), &json!("2026-01-02T00:00:00Z"), 2)
    );
    // An earlier merge found out when, where the issue itself does not say.
    let (early, late) =
        (claim("L", Value::Null, "2026-01-02T00:00:00Z"), claim("R", Value::Null, "2026-01-04T00:00:00Z"));
    let base = lines(&[issue(json!({}))]);
    let (once, _) = merged(&base, &lines(&[issue(early)]), &lines(&[issue(late)]));
    let (text, _) = merged(&base, &once, &lines(&[issue(claim("M", Value::Null, "2026-01-03T00:00:00Z"))]));
    assert!(text.contains("\"session_id\":\"L\"") && text.contains("\"updated_at\":\"2026-01-04"), "{text}");
}

#[test]
fn comments_by_time_and_equal_numbers_are_not_equal_comments() {
    let comment =
        |id: i32, text: &str, at: &str| json!({"id": id, "author": "a", "text": text, "created_at": at});
    let old = comment(1, "old", "2026-01-01T05:00:00Z");
    let (issue, conflicts) = one(
        json!({"comments": [old]}),
        json!({"comments": [old, comment(2, "left", "2026-01-01T09:00:00+02:00")]}),
        json!({"comments": [comment(1, "mended", "2026-01-01T05:00:00Z"), comment(2, "right", "2026-01-01T06:00:00Z")]}),
    );
    let texts: Vec<&str> = issue["comments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["text"].as_str().unwrap())
        .collect();
    assert_eq!((texts, conflicts), (vec!["mended", "right", "left"], 0));
}

#[test]
fn dependencies_are_known_by_target_and_type() {
    let edge = |on: &str, kind: &str, by: &str| json!({"issue_id": "a-1", "depends_on_id": on, "type": kind, "created_by": by});
    let (issue, conflicts) = one(
        json!({"dependencies": [edge("b", "related", "x"), edge("c", "blocks", "x")]}),
        json!({"dependencies": [edge("b", "related", "x"), edge("c", "blocks", "x"), edge("b", "blocks", "l")]}),
        json!({"dependencies": [edge("c", "blocks", "edited"), edge("d", "custom", "r")]}),
    );
    let expected = json!([edge("c", "blocks", "edited"), edge("b", "blocks", "l"), edge("d", "custom", "r")]);
    assert_eq!((&issue["dependencies"], conflicts), (&expected, 0));
}

#[test]
fn an_edit_outlives_a_deletion_and_blocks_as_before() {
    let blocker = issue(json!({"id": "a-1", "blocks": ["a-2"]}));
    let blocked = issue(json!({"id": "a-2", "blocked_by": ["a-1"]}));
    let base = lines(&[blocker.clone(), blocked.clone()]);
    let scrubbed = issue(json!({"id": "a-2", "title": "later"}));
    let mut edited = blocker.clone();
    edited["title"] = json!("edited");
    let (text, conflicts) =
        merged(&base, &lines(std::slice::from_ref(&scrubbed)), &lines(&[edited.clone(), blocked.clone()]));
    let mut waits = scrubbed.clone();
    waits["blocked_by"] = json!(["a-1"]);
    assert_eq!((text, conflicts), (lines(&[edited, waits]), 0));
    // Nobody edited it: it is gone, and nothing waits for it.
    let mut other = blocked.clone();
    other["labels"] = json!(["l"]);
    let (text, _) = merged(&base, &lines(&[scrubbed]), &lines(&[blocker, other]));
    assert_eq!(text, lines(&[issue(json!({"id": "a-2", "title": "later", "labels": ["l"]}))]));
}

#[test]
fn both_may_add_the_same_issue() {
    let (text, conflicts) = merged(
        "",
        &lines(&[issue(json!({"labels": ["l"]})), issue(json!({"id": "a-3"}))]),
        &lines(&[issue(json!({"labels": ["r"]})), issue(json!({"id": "a-2"}))]),
    );
    let expected =
        [issue(json!({"labels": ["l", "r"]})), issue(json!({"id": "a-2"})), issue(json!({"id": "a-3"}))];
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((all, conflicts), (expected.to_vec(), 0));
}

#[test]
fn what_one_side_left_alone_keeps_its_bytes() {
    let odd = r#"{ "id":"a-9", "n":1.50e+3, "big":123456789012345678901234567890, "t":"\u00e9\/" ,"created_at":"2026-01-01T00:00:00Z"}"#;
    let other = issue(json!({"id": "a-2"})).to_string();
    let new = issue(json!({"id": "a-2", "title": "new"})).to_string();
    let memory = r#"{"_type":"memory","key":"k","value":"v"}"#;
    let base = format!("\u{feff}{odd}\r\n{other}\r\n");
    let left = format!("\u{feff}{odd}\r\n{new}\r\n{memory}");
    let right = format!("{}\n{other}\r", odd.replace("1.50", "2.50"));
    let (text, _) = merged(&base, &left, &right);
    assert_eq!(text, format!("{memory}\n{new}\r\n{}\n", odd.replace("1.50", "2.50")));
    // Numbers are not rounded.
    let (text, conflicts) = merged(&base, &right.replace("890,", "891,"), &left.replace("890,", "892,"));
    assert!(text.contains("891") && text.contains("892"), "{text}");
    assert_eq!(conflicts, 2);
}

#[test]
fn records_that_are_no_issues_are_merged_by_key_or_whole() {
    let keyed = |value: &str| format!("{{\"_type\":\"memory\",\"key\":\"k\",\"value\":\"{value}\"}}\n");
    let free = |text: &str| format!("{{\"_type\":\"note\",\"text\":\"{text}\"}}\n");
    let base = keyed("old") + &free("gone") + &free("stays");
    let (text, conflicts) = merged(
        &base,
        &(keyed("new") + &free("stays") + &free("gone")),
        &(keyed("old") + &free("stays") + &free("more")),
    );
    assert_eq!((text, conflicts), (keyed("new") + &free("more") + &free("stays"), 0));
    let (text, conflicts) = merged(&base, &(keyed("longer") + &base[..0]), &keyed("other"));
    assert!(text.contains("\"longer\"") && text.contains("\"other\"") && conflicts == 2, "{text}");
}

#[test]
fn markers_of_every_style_are_merged() {
    let before = issue(json!({"labels": ["x"]}));
    let left = issue(json!({"labels": ["x"], "title": "left"}));
    let right = issue(json!({"labels": []}));
    let rest = issue(json!({"id": "b-1"}));
    let both = issue(json!({"labels": [], "title": "left"}));
    let diff3 = format!(
        "<<<<<<< HEAD\n{left}\n||||||| 1234567\n{before}\n=======\n{right}\n>>>>>>> other branch\n{rest}\n"
    );
    let mended = |text: &str, base: Option<&str>| {
        let merged = mend(source(text.as_bytes()), base.map(str::as_bytes)).unwrap();
        let text = String::from_utf8(merged.bytes).unwrap();
        assert!(text.lines().all(|line| line.starts_with('{')), "{text}");
        (text, merged.conflicts.len())
    };
    let expected = lines(&[both.clone(), rest.clone()]);
    assert_eq!(mended(&diff3, None), (expected.clone(), 0));
    assert_eq!(mended(&diff3.replace('\n', "\r\n"), None).0, expected.replace('\n', "\r\n"));

    // Without the version before nothing that one side has is taken for old, unless git still has it.
    let plain = format!("{rest}\n<<<<<<< HEAD\n{left}\n=======\n{right}\n>>>>>>> other\n");
    let (text, conflicts) = mended(&plain, None);
    let all: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&all["labels"], &all["title"], conflicts), (&json!(["x"]), &json!("left"), 2));
    assert_eq!(mended(&plain, Some(&lines(&[before.clone(), rest.clone()]))), (expected.clone(), 0));

    // Markers that were committed, and met another conflict.
    let third = issue(json!({"labels": ["x"], "description": "third"}));
    let nested = format!(
        "<<<<<<< HEAD\n{diff3}||||||| base\n<<<<<<<<< inner\n{before}\n=========\n{before}\n>>>>>>>>> inner\n{rest}\n=======\n{third}\n{rest}\n>>>>>>> other\n"
    );
    let mut all = both.clone();
    all["description"] = json!("third");
    assert_eq!(mended(&nested, None), (lines(&[all, rest.clone()]), 0));

    // Somebody removed some of the markers.
    let torn = format!("{left}\n=======\n{right}\n>>>>>>> other\n{rest}\n");
    assert_eq!(mended(&torn, None).0, mended(&plain, None).0);
    assert_eq!(mended(&format!("<<<<<<< HEAD\n{rest}\n"), None).0, lines(&[rest]));
}

#[test]
fn lines_with_one_id_become_one() {
    let base = lines(&[issue(json!({}))]);
    let twice = lines(&[issue(json!({"title": "new"})), issue(json!({})), issue(json!({"labels": ["l"]}))]);
    let other = lines(&[issue(json!({"labels": ["r"]}))]);
    let (text, conflicts) = merged(&base, &twice, &other);
    assert_eq!((text, conflicts), (lines(&[issue(json!({"title": "new", "labels": ["l", "r"]}))]), 0));
    let mended = mend(source((base.clone() + &base).as_bytes()), None).unwrap();
    assert_eq!(String::from_utf8(mended.bytes).unwrap(), base);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let good = lines(&[issue(json!({}))]);
    for (bad, why) in [
        (format!("{good}{{\"id\":\"a-2\",\"tit"), "2: EOF while parsing a string at column"),
        (format!("{good}\n<<<<<<< HEAD\n"), "3: a conflict marker"),
        (format!("{{\"title\":\"no id\"}}\n{good}"), "1: missing field `id`"),
    ] {
        for (base, left, right) in [(&bad, &good, &good), (&good, &bad, &good), (&good, &good, &bad)] {
            let error = try_merge(base, left, right).unwrap_err();
            assert_eq!(exit_status(&error), 4);
            assert!(error.to_string().contains(&format!("at line {why}")), "{error}");
        }
    }
    let error =
        mend(source(format!("<<<<<<< HEAD\n{good}=======\n{{\"id\":\n").as_bytes()), None).unwrap_err();
    assert!(error.to_string().contains("at line 4: EOF"), "{error}");
}

#[test]
fn the_output_may_be_an_input_and_keeps_its_mode_and_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("base"), "").unwrap();
    fs::write(path("left"), lines(&[issue(json!({}))])).unwrap();
    fs::write(path("right"), lines(&[issue(json!({"id": "a-2"}))])).unwrap();
    fs::set_permissions(path("left"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("left", path("out")).unwrap();
    let conflicts = drive(&path("base"), &path("left"), &path("right"), &path("out")).unwrap();
    assert_eq!(conflicts, vec![]);
    assert_eq!(fs::read_to_string(path("left")).unwrap().lines().count(), 2);
    assert_eq!(fs::metadata(path("left")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(path("out").is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    let error = drive(&path("missing"), &path("left"), &path("right"), &path("out")).unwrap_err();
    assert_eq!(exit_status(&error), 4);
}

#[test]
fn a_long_text_and_a_deep_value_are_merged_like_others() {
    let deep = |leaf: &str| format!("{}{leaf}{}", "[".repeat(5_000), "]".repeat(5_000));
    let line = |title: &str, deep: &str| {
        format!(
            "{{\"id\":\"a-1\",\"title\":\"{title}\",\"deep\":{deep},\"created_at\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    let (short, long) = ("x".repeat(10), "é".repeat(1 << 20));
    let (text, conflicts) =
        merged(&line(&short, &deep("1")), &line(&long, &deep("1")), &line(&short, &deep("2")));
    assert_eq!((text.len(), conflicts), (line(&long, &deep("2")).len(), 0));
    let (text, conflicts) =
        merged(&line(&short, &deep("1")), &line(&long, &deep("3")), &line(&short, &deep("2")));
    assert!(text.contains("[2]") && text.contains("[3]"));
    assert_eq!(conflicts, 0, "elements of lists");
}
