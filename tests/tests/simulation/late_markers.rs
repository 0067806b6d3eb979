//! A target that carries out a request for markers long after it was sent, when another instance has filled the gap: it is filled
//! twice, see FAILURES.md for that window. The copy may not be perfect then, but it has to stop there and say so.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::StopReason;
use verbatim_testbroker::Control;

/// How long the claim of an instance lasts.
const CLAIM: Duration = Duration::from_secs(3);

/// Whether `fault` has markers written when the claim they were sent under is another's.
pub(crate) fn are_late(api: ApiKey, fault: &Control) -> bool {
    api == ApiKey::WriteTxnMarkers && matches!(fault, Control::Delay(time) if *time > CLAIM)
}

/// The offset that a partition stopped at for what they did.
pub(crate) fn seen_at(reason: &StopReason) -> Option<i64> {
    match reason {
        StopReason::NotTheSource { target } => Some(*target),
        StopReason::Behind { offset, .. } | StopReason::UnexpectedOffset { offset, .. } => Some(*offset),
        _ => None,
    }
}
