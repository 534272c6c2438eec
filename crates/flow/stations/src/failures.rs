//! Steps that failed, and gates that held, become issues where the plan says `on_failure: issue`.
//!
//! An issue is found again by `line_step`, the names of plan and step: while it is not closed, another failure of the same step is a
//! comment on it, and the same failure of the same run is nothing. So a run that is taken up again files nothing twice.

use jiff::Timestamp;
use wootz_schema::event::{RunSummary, Status, StepSummary};
use wootz_schema::plan::{OnFailure, Plan};
use wootz_tracker::actions::{self, Draft};
use wootz_tracker::{Store, TrackerError};

/// The key of an issue that names plan and step.
const LINE_STEP: &str = "line_step";

/// Lines of a step's log that its issue repeats.
pub const LOG_LINES: usize = 20;

/// What was done about a failed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The step.
    pub step: String,
    /// The issue that tells of it.
    pub issue: String,
    /// Whether that is new.
    pub is_new: bool,
}

/// The steps of a run about which an issue is to be filed.
pub fn failed<'a>(plan: &Plan, summary: &'a RunSummary) -> Vec<&'a StepSummary> {
    let asked = |step: &StepSummary| {
        plan.steps
            .iter()
            .any(|planned| planned.id == step.step && planned.on_failure == Some(OnFailure::Issue))
    };
    summary.steps.iter().filter(|step| step.status == Status::Failed && asked(step)).collect()
}

/// Files the failure of one step; `log` is the end of what it wrote.
pub fn file(
    store: &Store,
    summary: &RunSummary,
    step: &StepSummary,
    log: &str,
    now: Timestamp,
) -> Result<Filed, TrackerError> {
    let key = format!("{}/{}", summary.plan, step.step);
    let told = evidence(summary, step, log);
    store.change(|issues| {
        issues.describe("run", Some(&summary.run));
        let known = issues.all()?.into_iter().find(|issue| {
            issue.text(LINE_STEP).as_deref() == Some(key.as_str())
                && issue.text("status").as_deref() != Some("closed")
        });
        if let Some(known) = known {
            let id = known.text("id").unwrap_or_default();
            let run = format!("run {}", summary.run);
            if !known.line().contains(&run) {
                actions::comment(issues, &id, "wootz", &told, now)?;
            }
            return Ok(Filed { step: step.step.clone(), issue: id, is_new: false });
        }
        let ended = if is_held(step) { "held" } else { "failed" };
        let title = format!("{}: {} {ended}", summary.plan, step.step);
        let draft = Draft { title: &title, description: &told, kind: "task", priority: 1 };
        let mut record = actions::create(issues, &store.config()?, &draft, now)?;
        let id = record.text("id").unwrap_or_default();
        record.set(LINE_STEP, &key);
        record.set("labels", &["line"]);
        issues.put(&id, Some(record));
        Ok(Filed { step: step.step.clone(), issue: id, is_new: true })
    })
}

/// A gate that ran and did not let the line pass has no failure, but a verdict.
fn is_held(step: &StepSummary) -> bool {
    step.failure.is_none()
}

fn evidence(summary: &RunSummary, step: &StepSummary, log: &str) -> String {
    let mut told = format!("run {}, attempt {}: {}\n", summary.run, step.attempts, step.summary);
    let failure = step.failure.as_ref();
    if let Some(failure) = failure.filter(|failure| !step.summary.contains(&failure.message)) {
        told.push_str(&format!("because: {}\n", failure.message));
    }
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        told.push_str(&format!("hint: {hint}\n"));
    }
    if let Some(output) = &step.output {
        told.push_str(&format!("output: {output}\n"));
    }
    for (name, value) in &step.metrics {
        told.push_str(&format!("{name}: {}\n", value.figure()));
    }
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    if !last.is_empty() {
        told.push_str(&format!("log:\n  {}\n", last.join("\n  ")));
    }
    told.push_str(&format!("again: wootz run --resume {}", summary.run));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_schema::event::Failure;

    fn step(status: Status, failure: Option<&str>) -> StepSummary {
        StepSummary {
            step: "train".to_owned(),
            kind: "train".to_owned(),
            status,
            attempts: 2,
            seconds: None,
            summary: "the loss is no number".to_owned(),
            failure: failure.map(|message| Failure {
                message: message.to_owned(),
                hint: Some("lower the rate".to_owned()),
                exit: 1,
                retryable: false,
                code: None,
            }),
            output: None,
            metrics: Default::default(),
        }
    }

    fn summary(run: &str, step: StepSummary) -> RunSummary {
        RunSummary {
            version: 1,
            run: run.to_owned(),
            plan: "tiny".to_owned(),
            plan_path: "tiny.yaml".to_owned(),
            command: "wootz run tiny.yaml".to_owned(),
            status: Status::Failed,
            exit: 1,
            created_ms: 0,
            updated_ms: 0,
            steps: vec![step],
        }
    }

    #[test]
    fn a_failure_is_told_once_and_the_next_is_a_comment() {
        let root = tempfile::tempdir().unwrap();
        Store::create(&root.path().join(".ba"), "/p").unwrap();
        let store = Store::find(root.path()).unwrap();
        let filed = |run: &str, failure: Option<&str>| {
            let summary = summary(run, step(Status::Failed, failure));
            let log: String = (0..30).map(|line| format!("line {line}\n")).collect();
            file(&store, &summary, &summary.steps[0], &log, Timestamp::UNIX_EPOCH).unwrap()
        };
        let first = filed("r1", Some("loss is NaN"));
        assert!(first.is_new);
        let again = filed("r1", Some("loss is NaN"));
        assert_eq!((again.is_new, &again.issue), (false, &first.issue));
        filed("r2", None);
        filed("r2", None);
        let issue = store.read().unwrap().get(&first.issue).unwrap();
        assert_eq!(issue.text("title").unwrap(), "tiny: train failed");
        let told = issue.text("description").unwrap();
        for part in ["run r1, attempt 2", "loss is NaN", "lower the rate", "line 29", "--resume r1"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("line 9\n"), "only the end of the log: {told}");
        assert_eq!(issue.read_as::<Vec<serde_json::Value>>("comments").unwrap().len(), 1, "one for r2");
        let close = |issues: &mut wootz_tracker::Issues| {
            actions::advance(
                issues,
                &first.issue,
                wootz_tracker::ownership::Move::Close,
                Timestamp::UNIX_EPOCH,
            )
        };
        store.change(close).unwrap();
        let held = filed("r3", None);
        assert!(held.is_new && held.issue != first.issue);
        assert_eq!(
            store.read().unwrap().get(&held.issue).unwrap().text("title").unwrap(),
            "tiny: train held"
        );
    }
}
