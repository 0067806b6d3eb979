//! The status, as JSON.

use serde_json::{Value, json};
use verbatim_mirror::{FlowReport, FlowState};
use verbatim_pipeline::{OffsetsHeld, PartitionStatus, Side, Status};

/// All of `reports`.
pub(super) fn written(reports: &[FlowReport]) -> String {
    let flows: Vec<Value> = reports.iter().map(flow).collect();
    format!("{:#}\n", json!({ "flows": flows }))
}

fn flow(report: &FlowReport) -> Value {
    let (state, because) = match &report.state {
        FlowState::Starting => ("starting", None),
        FlowState::Waiting(why) => ("waiting", Some(why)),
        FlowState::Discovering(_) => ("discovering", None),
        FlowState::Running(_) => ("copying", None),
        FlowState::Beating => ("heartbeats only", None),
        FlowState::Ended => ("ended", None),
    };
    let mut flow = json!({ "name": report.name, "state": state, "because": because });
    if let (Some(status), Some(members)) = (&report.status, flow.as_object_mut()) {
        members.extend(figures(status));
    }
    flow
}

fn figures(status: &Status) -> serde_json::Map<String, Value> {
    let changed = status
        .not_verbatim()
        .map(|partition| json!({ "topic": &*partition.name.topic, "partition": partition.name.partition }));
    let figures = json!({
        "lag_records": status.lag_records(),
        "source_answers": !status.unanswering.contains(&Side::Source),
        "target_answers": !status.unanswering.contains(&Side::Target),
        "held_bytes": status.held_bytes,
        "copied_bytes": status.copied_bytes,
        "not_verbatim": changed.collect::<Vec<Value>>(),
        "partitions": status.partitions.iter().map(partition).collect::<Vec<Value>>(),
    });
    match figures {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    }
}

fn partition(status: &PartitionStatus) -> Value {
    let counters = &status.counters;
    let gap = |gap: &verbatim_pipeline::Gap| json!({ "from": gap.from, "to": gap.to, "target": gap.target, "why": gap.why.to_string() });
    json!({
        "topic": &*status.name.topic,
        "partition": status.name.partition,
        "is_copying": status.is_copying,
        "waits_because": status.waits.as_ref().map(|trouble| trouble.obstacle.to_string()),
        "waits_seconds": status.waits.as_ref().map(|trouble| trouble.since.elapsed().as_secs()),
        "stopped": status.stopped.as_ref().map(ToString::to_string),
        "source_offset": status.position.source_offset,
        "target_offset": status.position.target_offset,
        "end_offset": status.end_offset,
        "high_watermark": status.high_watermark,
        "lag_records": status.lag_records,
        "held_back_records": status.held_back_records(),
        "offsets": match status.offsets {
            OffsetsHeld::Preserved => "preserved",
            OffsetsHeld::Translated => "translated",
        },
        "translated_because": status.translated_because.as_deref(),
        "is_verbatim": !counters.is_changed(),
        "records": counters.records,
        "bytes": counters.bytes,
        "batches": {
            "verbatim": counters.forwarded_batches,
            "spliced": counters.spliced_batches,
            "repacked": counters.repacked_batches,
            "merged": counters.merged_batches,
            "aborted": counters.aborted_batches,
            "foreign": counters.foreign_batches,
            "empty": counters.empty_batches,
        },
        "filled_offsets": counters.filled_offsets,
        "gaps": status.gaps.iter().map(gap).collect::<Vec<Value>>(),
    })
}
