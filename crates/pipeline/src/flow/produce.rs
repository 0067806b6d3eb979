//! Stage 6: lanes to target brokers. A lane is one connection; its broker answers in order, so that several requests are
//! under way at once: as many as its [`Window`](crate::broker::Window) allows.

use super::assemble::Assembled;
use crate::broker::{LaneKey, Link, ProduceInFlight};
use crate::task::{FlowTask, room};
use std::ops::Bound;
use verbatim_wire::cluster::Lane;
use verbatim_wire::connection::{Asked, Payloads};

impl FlowTask {
    /// Sends on every lane that has something to send and room for it.
    pub(crate) fn produce_where_possible(&mut self) {
        if self.is_draining {
            return;
        }
        // In turn: where a rate is limited, the first to ask must not be the same every time.
        let first = self.lane_after(self.last_lane);
        let mut next = first;
        while let Some(key) = next {
            while self.lanes.get(&key).is_some_and(|lane| !lane.ready.is_empty()) && self.produce_on(key) {
                self.last_lane = Some(key);
            }
            next = self.lane_after(Some(key)).filter(|next| Some(*next) != first);
        }
    }

    /// The lane whose turn is after `key`'s.
    fn lane_after(&self, key: Option<LaneKey>) -> Option<LaneKey> {
        let after = key.and_then(|key| self.lanes.range((Bound::Excluded(key), Bound::Unbounded)).next());
        after.or_else(|| self.lanes.iter().next()).map(|(key, _)| *key)
    }

    /// Sends one request; whether another may follow.
    fn produce_on(&mut self, key: LaneKey) -> bool {
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        if lane.requests.is_empty() {
            lane.link.close_if_ended();
        }
        if matches!(lane.link, Link::Closed) {
            self.open_lane(key);
            return false;
        }
        if lane.ready.is_empty() || !lane.may_send() {
            return false;
        }
        let Some(is_live) = self.may_send(key) else { return false };
        let Some(room) = room(&self.asked) else { return false };
        let Some(Assembled { frame, numbers, bytes, at }) = self.assemble(key, is_live) else { return false };
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        let Link::Open { connection, .. } = &lane.link else { return false };
        let request = lane.next_request;
        lane.next_request += 1;
        lane.window.sent(bytes);
        lane.requests.push_back(ProduceInFlight { request, numbers, bytes, sent_at: at });
        let wait = self.config.produce_timeout;
        let asked = Asked { node: key.node, lane: Lane::Produce(key.index), request };
        connection.submit_to(frame, wait, Payloads::InMemory, asked, room);
        true
    }
}
