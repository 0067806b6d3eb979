//! Rules of the test: which requests get which [`Control`], and the requests seen so far.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Request;

use crate::faults::control::Control;

/// Requests remembered for [`crate::TestCluster::requests`].
const REMEMBERED_REQUESTS: usize = 65_536;

/// A request as a rule sees it.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// Broker it was sent to.
    pub node: i32,
    /// Which API.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// Client id of the request header.
    pub client_id: String,
    /// Number of the connection, unique in the cluster.
    pub connection: u64,
    /// Time since the cluster started.
    pub at: Duration,
    body: Bytes,
}

impl RequestView {
    pub(crate) fn new(call: &crate::api::Call, body: Bytes) -> Self {
        Self {
            node: call.node,
            api: call.key,
            version: call.version,
            client_id: call.client_id.to_string(),
            connection: call.connection,
            at: call.core.clock.since_start(),
            body,
        }
    }

    /// The decoded request, if it is one of type `R`.
    pub fn decode<R: Request>(&self) -> Option<R> {
        let mut body = self.body.clone();
        (self.api as i16 == R::KEY).then(|| R::decode(&mut body, self.version).ok())?
    }
}

/// A request that a broker received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Broker it was sent to.
    pub node: i32,
    /// Which API.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// Number of the connection, unique in the cluster.
    pub connection: u64,
    /// Time since the cluster started.
    pub at: Duration,
}

type Decide = Box<dyn FnMut(&RequestView) -> Control + Send>;

struct Rule {
    api: ApiKey,
    decide: Decide,
    /// Times left to act; `None` is without end.
    left: Option<usize>,
}

/// All rules, in the order they were made, and the requests seen.
#[derive(Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    seen: VecDeque<SeenRequest>,
}

impl Faults {
    pub(crate) fn add(&mut self, api: ApiKey, left: Option<usize>, decide: Decide) {
        self.rules.push(Rule { api, decide, left });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.seen.iter().cloned().collect()
    }

    pub(crate) fn forget_seen(&mut self) {
        self.seen.clear();
    }

    /// Notes a request.
    pub(crate) fn note(&mut self, call: &crate::api::Call) {
        if self.seen.len() >= REMEMBERED_REQUESTS {
            self.seen.pop_front();
        }
        self.seen.push_back(SeenRequest {
            node: call.node,
            api: call.key,
            version: call.version,
            connection: call.connection,
            at: call.core.clock.since_start(),
        });
    }

    pub(crate) fn watches(&self, api: ApiKey) -> bool {
        self.rules.iter().any(|rule| rule.api == api)
    }

    /// The first rule that does not pass decides.
    pub(crate) fn decide(&mut self, request: &RequestView) -> Control {
        for index in 0..self.rules.len() {
            let Some(rule) = self.rules.get_mut(index).filter(|rule| rule.api == request.api) else {
                continue;
            };
            let control = (rule.decide)(request);
            if control == Control::Pass {
                continue;
            }
            if let Some(left) = &mut rule.left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.rules.remove(index);
                }
            }
            return control;
        }
        Control::Pass
    }
}
