//! The schedules' tables and the event files' bytes.

mod suite {
    mod schedule;
    mod tensorboard;
}
