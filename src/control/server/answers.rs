//! Collects what workers answer, and does not wait for ever.

use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use tokio::time::{sleep, timeout};

/// How often it is looked whether an answer has come.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Takes answers until the last side that could answer is gone, or for so long. Those that did come
/// are told, whether or not it was all of them.
pub(in crate::control) async fn gather<T>(answers: Receiver<T>, within: Duration) -> Vec<T> {
    let mut answered = Vec::new();
    let all = async {
        loop {
            match answers.try_recv() {
                Ok(answer) => answered.push(answer),
                Err(TryRecvError::Empty) => sleep(LOOK_EVERY).await,
                Err(TryRecvError::Disconnected) => return,
            }
        }
    };
    timeout(within, all).await.unwrap_or_default();
    answered
}
