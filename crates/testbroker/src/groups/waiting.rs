//! JoinGroup and SyncGroup are answered when the group has moved on.

use tokio::time::Instant;

use crate::api::Call;
use crate::groups::group::Group;

/// Waits until `answer` has one. It is asked again after every change and whenever the group's time has come.
pub(crate) async fn wait_for<T>(
    call: &Call,
    group_id: &str,
    mut answer: impl FnMut(&mut Group) -> Option<T>,
) -> T {
    loop {
        // Made before the look: `notify_waiters` reaches it from now on, so no change is missed before the wait.
        let changed = call.core.changed.notified();
        let next_tick = {
            let mut state = call.core.state();
            let group = state.groups.entry(group_id.to_owned()).or_default();
            let before = (group.generation, group.state);
            group.tick(Instant::now());
            if (group.generation, group.state) != before {
                call.core.changed.notify_waiters();
            }
            if let Some(answer) = answer(group) {
                return answer;
            }
            group.next_tick()
        };
        match next_tick {
            None => changed.await,
            Some(time) => tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(time) => {}
            },
        }
    }
}
