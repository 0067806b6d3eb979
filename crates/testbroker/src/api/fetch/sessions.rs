//! Fetch sessions (KIP-227): a client names its partitions once and then only what changes.
//!
//! (id 0, epoch 0) opens a session, (0, −1) does without, (id, n) is incremental, (id, −1) closes. Kafka evicts a
//! session that rested for two minutes when a new one needs its slot; so do we, the longest resting first.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Call;
use crate::api::fetch::gather::Gathered;
use crate::api::fetch::response::FetchReply;
use crate::cluster::state::State;
use crate::error::ErrorCode;

/// First version with sessions.
pub(crate) const SESSION_VERSION: i16 = 7;
/// First version that names topics by id.
pub(crate) const TOPIC_ID_VERSION: i16 = 13;
const FINAL_EPOCH: i32 = -1;
/// `max.incremental.fetch.session.cache.slots`.
const DEFAULT_SLOTS: usize = 1000;
/// `min.incremental.fetch.session.eviction.ms`.
const EVICTION_REST: Duration = Duration::from_secs(120);

/// What a client wants of one partition.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) topic: StrBytes,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    pub(crate) last_fetched_epoch: i32,
    pub(crate) max_bytes: i32,
}

impl Wanted {
    /// The topic's name; `None` for an unknown topic id.
    pub(crate) fn topic_name(&self, state: &State) -> Option<String> {
        if self.topic_id.is_nil() {
            Some(self.topic.to_string())
        } else {
            state.topics.name(self.topic_id).map(str::to_owned)
        }
    }

    fn key(&self) -> Key {
        (self.topic.clone(), self.topic_id, self.partition)
    }
}

type Key = (StrBytes, Uuid, i32);

/// A partition of a session, with what the client was last told.
#[derive(Debug)]
struct Member {
    wanted: Wanted,
    high_watermark: i64,
    log_start: i64,
}

#[derive(Debug)]
struct Cached {
    epoch: i32,
    uses_topic_ids: bool,
    last_used: Instant,
    /// In the order of answers: a partition that returned data moves to the end.
    members: BTreeMap<u64, Member>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

/// The sessions of one broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    pub(crate) slots: usize,
    sessions: HashMap<i32, Cached>,
    next_id: i32,
}

impl Default for FetchSessions {
    fn default() -> Self {
        Self { slots: DEFAULT_SLOTS, sessions: HashMap::new(), next_id: 1 }
    }
}

impl FetchSessions {
    /// Forgets all sessions: their clients get `FETCH_SESSION_ID_NOT_FOUND`.
    pub(crate) fn evict_all(&mut self) {
        self.sessions.clear();
    }

    fn open(&mut self, uses_topic_ids: bool) -> Option<i32> {
        if self.sessions.len() >= self.slots {
            let (resting, last_used) = self
                .sessions
                .iter()
                .map(|(id, cached)| (*id, cached.last_used))
                .min_by_key(|(id, last_used)| (*last_used, *id))?;
            if last_used.elapsed() < EVICTION_REST {
                return None;
            }
            self.sessions.remove(&resting);
        }
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.sessions.insert(
            id,
            Cached {
                epoch: 1,
                uses_topic_ids,
                last_used: Instant::now(),
                members: BTreeMap::new(),
                places: HashMap::new(),
                next_place: 0,
            },
        );
        Some(id)
    }
}

impl Cached {
    fn want(&mut self, wanted: Wanted) {
        let place = self.places.get(&wanted.key()).copied();
        match place.and_then(|place| self.members.get_mut(&place)) {
            Some(member) => member.wanted = wanted,
            None => {
                self.places.insert(wanted.key(), self.next_place);
                let member = Member { wanted, high_watermark: -1, log_start: -1 };
                self.members.insert(self.next_place, member);
                self.next_place += 1;
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.members.remove(&place);
        }
    }

    /// Whether an incremental answer mentions this partition; notes what the client is told.
    fn has_news(&mut self, key: &Key, gathered: &Gathered) -> bool {
        let Some(place) = self.places.get_mut(key) else {
            return false;
        };
        let Some(member) = self.members.get_mut(place) else {
            return false;
        };
        let has_data = gathered.slice.bytes > 0;
        let news = has_data
            || gathered.is_urgent()
            || member.high_watermark != gathered.high_watermark
            || member.log_start != gathered.log_start;
        // After an error the client hears of the partition again, whatever happens.
        let failed = gathered.code != ErrorCode::NONE;
        member.high_watermark = if failed { -1 } else { gathered.high_watermark };
        member.log_start = gathered.log_start;
        if has_data && let Some(member) = self.members.remove(place) {
            *place = self.next_place;
            self.members.insert(self.next_place, member);
            self.next_place += 1;
        }
        news
    }
}

/// Under which session a request runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Session {
    /// None: everything named is answered.
    Without,
    /// Just opened: everything named is answered.
    Opened(i32),
    /// Only news is answered.
    Incremental(i32),
}

impl Session {
    pub(crate) fn id(self) -> i32 {
        match self {
            Self::Without => 0,
            Self::Opened(id) | Self::Incremental(id) => id,
        }
    }

    /// All partitions to read.
    pub(crate) fn wanted(self, call: &Call, request: &FetchRequest) -> Vec<Wanted> {
        let Self::Incremental(id) = self else {
            return requested(request);
        };
        let state = call.core.state();
        let cached = state.brokers.get(&call.node).and_then(|it| it.fetch_sessions.sessions.get(&id));
        cached.map_or_else(Vec::new, |it| it.members.values().map(|member| member.wanted.clone()).collect())
    }
}

/// The partitions named in the request itself.
pub(crate) fn requested(request: &FetchRequest) -> Vec<Wanted> {
    let topics = request.topics.iter();
    topics
        .flat_map(|topic| {
            topic.partitions.iter().map(|partition| Wanted {
                topic: topic.topic.0.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
                current_leader_epoch: partition.current_leader_epoch,
                fetch_offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                max_bytes: partition.partition_max_bytes,
            })
        })
        .collect()
}

/// Finds, opens or closes the session of a request.
pub(crate) fn begin(call: &Call, request: &FetchRequest) -> Result<Session, ErrorCode> {
    if call.version < SESSION_VERSION {
        return Ok(Session::Without);
    }
    let uses_topic_ids = call.version >= TOPIC_ID_VERSION;
    let mut state = call.core.state();
    let Some(broker) = state.brokers.get_mut(&call.node) else {
        return Ok(Session::Without);
    };
    let sessions = &mut broker.fetch_sessions;
    if request.session_epoch <= 0 {
        sessions.sessions.remove(&request.session_id);
        if request.session_epoch == FINAL_EPOCH || request.topics.is_empty() {
            return Ok(Session::Without);
        }
        let Some(id) = sessions.open(uses_topic_ids) else {
            return Ok(Session::Without);
        };
        if let Some(cached) = sessions.sessions.get_mut(&id) {
            requested(request).into_iter().for_each(|wanted| cached.want(wanted));
        }
        return Ok(Session::Opened(id));
    }
    let cached = sessions.sessions.get_mut(&request.session_id);
    let cached = cached.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
    if cached.epoch != request.session_epoch {
        return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    }
    if cached.uses_topic_ids != uses_topic_ids {
        return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    }
    requested(request).into_iter().for_each(|wanted| cached.want(wanted));
    for topic in &request.forgotten_topics_data {
        for partition in &topic.partitions {
            cached.forget(&(topic.topic.0.clone(), topic.topic_id, *partition));
        }
    }
    cached.epoch = cached.epoch.checked_add(1).unwrap_or(1);
    cached.last_used = Instant::now();
    if cached.members.is_empty() {
        sessions.sessions.remove(&request.session_id);
        return Ok(Session::Without);
    }
    Ok(Session::Incremental(request.session_id))
}

/// Makes the answer; in a session, notes what the client now knows.
pub(crate) fn finish(
    call: &Call,
    session: &Session,
    wanted: &[Wanted],
    gathered: Vec<Gathered>,
) -> FetchReply {
    let mut state = call.core.state();
    let cached = state
        .brokers
        .get_mut(&call.node)
        .and_then(|broker| broker.fetch_sessions.sessions.get_mut(&session.id()));
    let pairs: Vec<(&Wanted, Gathered)> = match (session, cached) {
        (Session::Without, _) | (_, None) => wanted.iter().zip(gathered).collect(),
        (Session::Opened(_) | Session::Incremental(_), Some(cached)) => wanted
            .iter()
            .zip(gathered)
            .filter(|(wanted, gathered)| {
                let news = cached.has_news(&wanted.key(), gathered);
                news || matches!(session, Session::Opened(_))
            })
            .collect(),
    };
    let moved = pairs.iter().any(|(_, gathered)| gathered.current_leader.is_some());
    let reply = FetchReply::of(session.id(), pairs);
    if moved { reply.with_endpoints(&state) } else { reply }
}
