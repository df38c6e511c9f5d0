//! Waiting for the end of long work, whichever host does it.

use std::time::Duration;

use super::Error;

/// The longest time that a caller may wait for an operation, in seconds.
pub const WAIT_S_MAX: u64 = 60;
/// How often one that waits looks.
const LOOK: Duration = Duration::from_millis(200);

/// What is looked at once it has ended, or as it is after `wait`.
pub(super) async fn ended_within<T, F: Future<Output = Result<T, Error>>>(
    wait: Duration,
    look: impl Fn() -> F,
    has_ended: impl Fn(&T) -> bool,
) -> Result<T, Error> {
    let deadline = tokio::time::sleep(wait.min(Duration::from_secs(WAIT_S_MAX)));
    tokio::pin!(deadline);
    loop {
        let operation = look().await?;
        if has_ended(&operation) {
            return Ok(operation);
        }
        tokio::select! {
            () = &mut deadline => return Ok(operation),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
