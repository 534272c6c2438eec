//! SIGINT and SIGTERM: the first asks the work to stop at a point from which it can go on, the second ends at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Registers the handlers and gives the flag that the first signal sets.
pub fn watch() -> io::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in this order: only a signal that finds the flag set already ends the process.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel))?;
        flag::register(signal, Arc::clone(&cancel))?;
    }
    Ok(cancel)
}
