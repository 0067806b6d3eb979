//! Flows whose topics keep their names: the names do not tell where a record came from, so that flows that meet have to know it by
//! other means, and what cannot work is said.

use super::{FlowSettings, Setup};
use crate::naming::TopicNaming;
use crate::topics::TopicFilter;
use verbatim_pipeline::{Forward, Offsets};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Arranged {
    /// What cannot work.
    pub(super) problems: Vec<String>,
    /// What was left out.
    pub(super) warnings: Vec<String>,
}

/// Sees to it that no record goes round or arrives twice: where copies could meet what they are copies of, flows only forward what was
/// produced on their source; where several write to the same topics, they expect each other's records.
pub(super) fn arrange(setup: &mut Setup) -> Arranged {
    let keeping: Vec<FlowSettings> = setup
        .flows
        .iter()
        .filter(|flow| flow.is_enabled && keeps_names(&flow.topic_naming()))
        .cloned()
        .collect();
    let Arranged { mut problems, mut warnings } = Arranged::default();
    for flow in setup.flows.iter_mut().filter(|flow| keeping.iter().any(|kept| kept.name == flow.name)) {
        let asked = flow.clone();
        let feeds = |source: &str, target: &str| {
            let leads = |other: &&FlowSettings| other.source == source && other.target == target;
            keeping.iter().filter(leads).any(|other| overlap(&asked, other))
        };
        let others: Vec<&str> = keeping
            .iter()
            .filter(|other| other.target == asked.source && overlap(&asked, other))
            .map(|other| other.source.as_str())
            .collect();
        // What came to the source from there gets to the target without us, or must not go back.
        let comes_back = others.iter().any(|other| *other == flow.target || feeds(other, &flow.target));
        let is_one_of_several = keeping
            .iter()
            .any(|other| other.target == flow.target && other.source != flow.source && overlap(flow, other));
        if comes_back || is_one_of_several {
            flow.shares_target = true;
        }
        // A group has read local records and copies; the other side has them in another order, and one offset cannot say which.
        if flow.shares_target && (flow.groups.interval.is_some() || flow.beacons.checkpoints.is_some()) {
            (flow.groups.interval, flow.groups.goes_back, flow.beacons.checkpoints) = (None, false, None);
            warnings.push(format!(
                "flow {}: consumer groups are not carried over, because others write to the same topics on {}: what a group has read \
                 is not one offset there",
                flow.name, flow.target
            ));
        }
        if flow.shares_target && flow.offsets == Offsets::Preserve {
            problems.push(format!(
                "flow {}: offsets = \"preserve\" cannot be where others write to the same topics on {}",
                flow.name, flow.target
            ));
        }
        if !comes_back {
            if circle(flow, &keeping).is_some_and(|length| length > 2) {
                problems.push(format!(
                    "flow {} copies topics under their own names and is part of a circle: records would go round for ever; give it \
                     naming = \"prefix\" or topics of its own, or let a flow lead from each cluster to each other",
                    flow.name
                ));
            }
            continue;
        }
        match flow.forward {
            None => flow.forward = Some(Forward::Local),
            Some(Forward::Local) => {}
            Some(Forward::Everything) => problems.push(format!(
                "flow {}: forward = \"all\" would send records back to where they came from, or twice to {}; leave it out, or give \
                 it topics of its own",
                flow.name, flow.target
            )),
        }
        let is_missing = |other: &&&str| **other != asked.target && !feeds(other, &asked.target);
        if let Some(other) = others.iter().find(is_missing) {
            problems.push(format!(
                "flow {}: what {other} sends to {} under its own name would not get to {}: add a flow from {other} to {}",
                flow.name, flow.source, flow.target, flow.target
            ));
        }
    }
    Arranged { problems, warnings }
}

/// Whether a topic is called on the target as on the source.
fn keeps_names(naming: &TopicNaming) -> bool {
    const ANY: &str = "a-topic";
    naming.target_of(ANY) == ANY
}

/// The number of flows on the shortest way from the target of `start` back to its source, itself included, along flows whose topics
/// overlap with its own.
fn circle(start: &FlowSettings, flows: &[FlowSettings]) -> Option<usize> {
    let mut ends = vec![start.target.as_str()];
    for length in 2..=flows.len() {
        let next = flows.iter().filter(|next| ends.contains(&next.source.as_str()) && overlap(start, next));
        ends = next.map(|next| next.target.as_str()).collect();
        if ends.contains(&start.source.as_str()) {
            return Some(length);
        }
    }
    None
}

/// Whether a topic may be meant by both, as far as their patterns tell: a pattern of one, taken for a name, is meant by the other.
fn overlap(one: &FlowSettings, other: &FlowSettings) -> bool {
    let meets = |one: &FlowSettings, other: &FlowSettings| {
        let Ok(filter) = TopicFilter::of(&one.topics, &one.topics_exclude) else { return false };
        other.topics.iter().any(|topic| one.topics.contains(topic) || filter.matches(topic))
    };
    meets(one, other) || meets(other, one)
}
