//! Which topics of a cluster other flows of the same file have brought there. What they call their copies, taken backwards, says where a
//! topic came from under any naming: also under templates and renamings, which a name alone does not tell.

use super::TopicNaming;
use crate::topics::TopicFilter;

/// What one flow brings to its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Name of its target cluster.
    pub target: String,
    /// What it calls topics; names its source cluster.
    pub naming: TopicNaming,
    /// Which topics it copies.
    pub filter: TopicFilter,
    /// Whether it copies topics of heartbeats whatever the filter says.
    pub copies_heartbeats: bool,
}

impl Brought {
    /// What `topic` of the cluster `cluster` is the copy of, on the flow's source, if the flow brings it there under another name.
    fn original(&self, cluster: &str, topic: &str) -> Option<String> {
        if self.target != cluster {
            return None;
        }
        // Where names stay the same they tell nothing: `config::circles` sees to such flows.
        let original = self.naming.source_of(topic).filter(|original| original != topic)?;
        let is_copied = self.filter.matches(&original)
            || (self.copies_heartbeats
                && self.naming.is_heartbeats(&original)
                && self.filter.may_match(&original));
        is_copied.then_some(original)
    }
}

/// Whether `topic` of the cluster `cluster` has come from the cluster `wanted`, directly or through others.
pub(crate) fn came_from(flows: &[Brought], cluster: &str, topic: &str, wanted: &str) -> bool {
    let mut places = vec![(cluster.to_owned(), topic.to_owned())];
    let mut next = 0;
    // Places and not steps are counted, so that renamings in a circle end.
    while let Some((cluster, topic)) = places.get(next).cloned() {
        for flow in flows {
            let Some(original) = flow.original(&cluster, &topic) else { continue };
            if flow.naming.source == wanted {
                return true;
            }
            let place = (flow.naming.source.clone(), original);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        next += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::{Naming, Template};
    use super::*;

    fn flow(source: &str, target: &str, template: &str) -> Brought {
        let naming = Naming::Template(Template::new(template).unwrap());
        Brought {
            target: target.to_owned(),
            naming: TopicNaming {
                source: source.to_owned(),
                naming,
                map: [("r".to_owned(), "s".to_owned())].into(),
            },
            filter: TopicFilter::new("orders|copy-of-.*|r|s").unwrap(),
            copies_heartbeats: true,
        }
    }

    #[test]
    fn any_naming_is_taken_backwards() {
        let flows = ["copy-of-{topic}", "{source}.{topic}"]
            .map(|template| [flow("a", "b", template), flow("b", "a", template), flow("b", "c", template)]);
        let [copies, named] = &flows;
        for (flows, cluster, topic, wanted, expected) in [
            (copies, "b", "orders", "a", false),
            (copies, "b", "copy-of-orders", "a", true),
            (copies, "a", "copy-of-orders", "b", true),
            (copies, "c", "copy-of-copy-of-orders", "a", true),
            (copies, "b", "copy-of-payments", "a", false),
            (copies, "b", "copy-of-heartbeats", "a", true),
            (named, "b", "a.orders", "a", true),
            (named, "b", "b.orders", "a", false),
            // Renamed there and back, round and round.
            (copies, "b", "s", "a", true),
            (copies, "b", "s", "c", false),
        ] {
            assert_eq!(
                came_from(flows, cluster, topic, wanted),
                expected,
                "{topic} of {cluster} from {wanted}"
            );
        }
    }
}
