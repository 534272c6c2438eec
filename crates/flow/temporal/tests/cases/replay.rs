//! Histories that an earlier build left are still decided alike. A new one: `temporal workflow show --workflow-id RUN --output json`.

use wootz_temporal::replay;

const FLAKY: &str = include_str!("../histories/flaky.json");

fn replayed(history: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(replay(history.as_bytes())).map_err(|error| error.to_string())
}

#[test]
fn a_history_of_an_earlier_build_is_decided_alike() {
    assert_eq!(replayed(FLAKY), Ok(()));
}

#[test]
fn a_history_of_other_decisions_is_refused() {
    let other = FLAKY.replace("wootz.look", "wootz.other");
    assert_ne!(other, FLAKY);
    assert!(replayed(&other).unwrap_err().contains("wootz.look"), "it names what does not fit");
}
