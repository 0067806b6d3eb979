//! The batch of records that a target's log ends with, to be compared with the source.

use super::Landmark;
use super::resume::{Ground, Look, Resume, ResumeAnswer};
use crate::error::StopReason;
use crate::positions::OffsetsHeld;
use std::collections::HashMap;
use std::sync::Arc;
use verbatim_wire::cluster::ClusterError;
use verbatim_wire::fetch::TopicIdentity;

/// Batches that are looked at, from the target's end backwards, for one of records.
const LOOKS: usize = 16;

impl Look<'_> {
    /// Reads the last batches where the source has to be compared with them.
    pub(super) async fn find_landmarks(
        &self,
        grounds: Vec<(&Resume, Ground)>,
        answers: &mut HashMap<u32, ResumeAnswer>,
    ) -> Result<(), ClusterError> {
        let is_wanted = |resume: &Resume, ground: &Ground| {
            let settled = &resume.settled;
            ground.landmark.is_none()
                && match resume.offsets {
                    OffsetsHeld::Translated => ground.held > 0,
                    // Without the leader epoch of the last batch a cut of the source would not be seen.
                    OffsetsHeld::Preserved => {
                        ground.end > 0
                            && ground.end >= settled.source_offset
                            && (ground.end != settled.target_offset || settled.leader_epoch < 0)
                    }
                }
        };
        let mut wanted: Vec<_> = grounds
            .iter()
            .filter(|(resume, ground)| is_wanted(resume, ground))
            .map(|(resume, ground)| (resume.topic.clone(), resume.partition, ground.end))
            .collect();
        let mut found = HashMap::new();
        for _ in 0..LOOKS {
            if wanted.is_empty() {
                break;
            }
            let topics: HashMap<Arc<str>, TopicIdentity> =
                wanted.iter().map(|(topic, ..)| (topic.name.clone(), topic.clone())).collect();
            let asked = std::mem::take(&mut wanted);
            for last in self.target.read_last_batches(self.leader, &asked).await? {
                // Fillers say little: what stands before them says more.
                if let (Ok(Some(batch)), Some(topic)) = (&last.batch, topics.get(&last.topic))
                    && batch.header.attributes.is_control()
                    && batch.header.base_offset > 0
                {
                    wanted.push((topic.clone(), last.partition, batch.header.base_offset));
                }
                let found = found.entry((last.topic, last.partition));
                match last.batch {
                    Ok(None) => drop(found.or_insert(Ok(None))),
                    better => drop(found.insert_entry(better)),
                }
            }
        }
        for (resume, mut ground) in grounds {
            let answer = match found.remove(&(resume.topic.name.clone(), resume.partition)) {
                None | Some(Ok(None)) => ResumeAnswer::Ground(ground, Vec::new()),
                Some(Err(code)) => ResumeAnswer::Later(Some(code)),
                Some(Ok(Some(batch))) => {
                    let header = batch.header;
                    if header.next_offset() > resume.settled.target_offset && !self.producers.wrote(&header) {
                        ResumeAnswer::Stop(StopReason::ForeignRecords { offset: header.base_offset })
                    } else {
                        ground.landmark = Some(Landmark::of(&batch, self.unpacked_bytes));
                        ResumeAnswer::Ground(ground, Vec::new())
                    }
                }
            };
            answers.insert(resume.number, answer);
        }
        Ok(())
    }
}
