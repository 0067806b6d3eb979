//! Flows that would mix the records of several topics, or send records round for ever: where topics keep their names, names do not
//! tell where a record came from.

use super::{FlowSettings, Setup};
use crate::naming::TopicNaming;
use crate::topics::TopicFilter;

/// What would go wrong between the flows of `setup`, each once.
pub(super) fn problems(setup: &Setup) -> Vec<String> {
    let keeping: Vec<&FlowSettings> =
        setup.flows.iter().filter(|flow| flow.is_enabled && keeps_names(&flow.topic_naming())).collect();
    let mut problems = Vec::new();
    for (at, one) in keeping.iter().enumerate() {
        for other in keeping.iter().skip(at + 1) {
            if one.target == other.target && one.source != other.source && overlap(one, other) {
                problems.push(format!(
                    "flows {} and {} copy to topics of the same names on {}: their records would be mixed; give one of them \
                     naming = \"prefix\", or topics of its own",
                    one.name, other.name, one.target
                ));
            }
        }
        if let Some(circle) = circle(one, &keeping) {
            // Named by the first of its flows only.
            let is_first = circle.iter().all(|flow| {
                keeping
                    .iter()
                    .position(|found| found.name == flow.name)
                    .is_some_and(|position| position >= at)
            });
            if is_first {
                let names: Vec<&str> = circle.iter().map(|flow| flow.name.as_str()).collect();
                problems.push(format!(
                    "flows {} copy topics under their own names in a circle: records would go round for ever; give them naming = \
                     \"prefix\", or topics of their own",
                    names.join(", ")
                ));
            }
        }
    }
    problems
}

/// Whether a topic is called on the target as on the source.
fn keeps_names(naming: &TopicNaming) -> bool {
    const ANY: &str = "a-topic";
    naming.target_of(ANY) == ANY
}

/// The shortest way from the target of `start` back to its source along flows whose topics overlap with those of `start`.
fn circle<'a>(start: &'a FlowSettings, flows: &[&'a FlowSettings]) -> Option<Vec<&'a FlowSettings>> {
    let mut ways = vec![vec![start]];
    for _ in 0..flows.len() {
        let mut longer = Vec::new();
        for way in ways {
            let end = way.last()?;
            for next in flows.iter().filter(|next| next.source == end.target && overlap(start, next)) {
                let way: Vec<&FlowSettings> = way.iter().chain([next]).copied().collect();
                if next.target == start.source {
                    return Some(way);
                }
                if way.iter().filter(|flow| flow.source == next.source).count() == 1 {
                    longer.push(way);
                }
            }
        }
        ways = longer;
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
