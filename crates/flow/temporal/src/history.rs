//! Histories of workflows: saved from a server, and replayed without one to see whether this build still decides as it did.

use crate::client::{Server, TemporalError};
use crate::workflow::Pipeline;
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowHistory};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

impl Server {
    /// The history of a run, JSON.
    pub async fn history(&self, run: &str) -> Result<Vec<u8>, TemporalError> {
        let handle = self.connect().await?.get_workflow_handle::<Pipeline>(run);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default()).to_json().await;
        history.map_err(|error| TemporalError::Request {
            action: "save the history of",
            run: run.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// Replays a history; an error where this build would decide otherwise.
pub async fn replay(history: &[u8]) -> Result<(), TemporalError> {
    let failed = |error: &dyn std::fmt::Display| TemporalError::Replay(error.to_string());
    let history = WorkflowHistory::from_json(history).map_err(|error| failed(&error))?;
    let options = WorkflowReplayerOptions::new().register_workflow::<Pipeline>();
    let replayer = WorkflowReplayer::new(options.map_err(|error| failed(&error))?.build());
    let replayed = replayer.map_err(|error| failed(&error))?.replay_workflow(history).await;
    replayed.map_err(|error| failed(&error))
}
