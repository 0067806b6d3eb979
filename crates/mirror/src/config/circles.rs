//! Flows whose topics keep their names: the names do not tell where a record came from, so that flows that meet have to know it by
//! other means, and what cannot work is said.

use super::{FlowSettings, Setup};
use crate::naming::{Brought, Naming, TopicNaming};
use crate::topics::TopicFilter;
use std::collections::{BTreeMap, BTreeSet};
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
    let mut warnings = Vec::new();
    let mut problems: Vec<String> =
        setup.flows.iter().filter_map(|flow| names_tell_nothing(flow, &setup.flows)).collect();
    let brought: Vec<Brought> =
        setup.flows.iter().filter(|flow| flow.is_enabled).filter_map(brings).collect();
    let ways: BTreeMap<&str, Ways> =
        keeping.iter().map(|flow| (flow.name.as_str(), Ways::of(flow, &keeping))).collect();
    for flow in &mut setup.flows {
        flow.brought.clone_from(&brought);
        let Some(way) = ways.get(flow.name.as_str()) else { continue };
        // Once one of the flows that meet has to tell records apart, all of them do: what came far must not look like what is near.
        let meets = |other: &&FlowSettings| {
            overlap(flow, other) && ways.get(other.name.as_str()).is_some_and(Ways::tell_apart)
        };
        let tells_apart = keeping.iter().any(|other| meets(&other));
        let is_one_of_several = keeping
            .iter()
            .any(|other| other.target == flow.target && other.source != flow.source && overlap(flow, other));
        flow.shares_target |= tells_apart || is_one_of_several;
        if tells_apart {
            match flow.forward {
                None => flow.carries.clone_from(&way.carried),
                Some(Forward::Local) => {}
                Some(Forward::Everything) => problems.push(format!(
                    "flow {}: forward = \"all\" would send records back to where they came from, or twice to {}; leave it out, or give \
                     it topics of its own",
                    flow.name, flow.target
                )),
            }
        }
        flow.is_local = tells_apart || flow.forward == Some(Forward::Local);
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
    }
    Arranged { problems, warnings }
}

/// What a flow brings to its target, unless its patterns cannot be read, which is said elsewhere.
fn brings(flow: &FlowSettings) -> Option<Brought> {
    Some(Brought {
        target: flow.target.clone(),
        naming: flow.topic_naming(),
        filter: TopicFilter::of(&flow.topics, &flow.topics_exclude).ok()?,
        copies_heartbeats: flow.beacons.copies_heartbeats,
    })
}

/// What is wrong with a flow whose copies may come round to it without their names telling: nothing stands between cluster and topic.
fn names_tell_nothing(flow: &FlowSettings, flows: &[FlowSettings]) -> Option<String> {
    let is_blank = matches!(&flow.naming, Naming::Prefix { separator } if separator.is_empty());
    let mut reached = BTreeSet::from([flow.target.as_str()]);
    loop {
        let before = reached.len();
        let enabled = flows.iter().filter(|other| other.is_enabled);
        let next: Vec<&str> = enabled
            .filter(|other| reached.contains(other.source.as_str()))
            .map(|other| other.target.as_str())
            .collect();
        reached.extend(next);
        if reached.len() == before {
            break;
        }
    }
    (is_blank && flow.is_enabled && reached.contains(flow.source.as_str())).then(|| {
        format!(
            "flow {}: with an empty separator the name of a copy, such as {}orders, does not tell that it came from {}, and topics could go \
             round between {} and {}; set separator to . or another, or naming to identity",
            flow.name, flow.source, flow.source, flow.source, flow.target
        )
    })
}

/// Clusters whose records come to the source of a flow through others: of each cluster's records one way leads to each other cluster.
struct Ways {
    /// That get to the flow's target through it.
    carried: Vec<String>,
    /// That get there otherwise, or were produced there.
    others: usize,
}

impl Ways {
    fn of(flow: &FlowSettings, keeping: &[FlowSettings]) -> Self {
        let meeting: Vec<&FlowSettings> = keeping.iter().filter(|other| overlap(flow, other)).collect();
        let clusters: BTreeSet<&str> = meeting.iter().map(|other| other.source.as_str()).collect();
        let comes_here =
            |origin: &&str| *origin != flow.source && carrier(origin, &flow.source, &meeting).is_some();
        let is_carried = |origin: &&str| {
            *origin != flow.target && carrier(origin, &flow.target, &meeting) == Some(flow.name.as_str())
        };
        let (carried, others): (Vec<&str>, Vec<&str>) =
            clusters.into_iter().filter(comes_here).partition(is_carried);
        Self { carried: carried.into_iter().map(str::to_owned).collect(), others: others.len() }
    }

    /// Whether some of what comes to the source must not go on.
    fn tell_apart(&self) -> bool {
        self.others > 0
    }
}

/// Whether a topic is called on the target as on the source.
fn keeps_names(naming: &TopicNaming) -> bool {
    const ANY: &str = "a-topic";
    naming.target_of(ANY) == ANY
}

/// The name of the flow that brings the records of cluster `origin` to `target`: the last one on the shortest way, the first of the file
/// where there are several.
fn carrier<'a>(origin: &str, target: &str, flows: &[&'a FlowSettings]) -> Option<&'a str> {
    let mut reached: BTreeMap<&str, Option<&'a str>> = [(origin, None)].into();
    loop {
        let mut next: BTreeMap<&str, Option<&'a str>> = BTreeMap::new();
        for flow in flows.iter().filter(|flow| reached.contains_key(flow.source.as_str())) {
            if !reached.contains_key(flow.target.as_str()) {
                next.entry(&flow.target).or_insert(Some(&flow.name));
            }
        }
        if next.is_empty() {
            return reached.get(target).copied().flatten();
        }
        reached.extend(next);
    }
}

/// Whether a topic may be meant by both, as far as their patterns tell: a pattern of one, taken for a name, is meant by the other.
fn overlap(one: &FlowSettings, other: &FlowSettings) -> bool {
    let meets = |one: &FlowSettings, other: &FlowSettings| {
        let Ok(filter) = TopicFilter::of(&one.topics, &one.topics_exclude) else { return false };
        other.topics.iter().any(|topic| one.topics.contains(topic) || filter.matches(topic))
    };
    meets(one, other) || meets(other, one)
}
