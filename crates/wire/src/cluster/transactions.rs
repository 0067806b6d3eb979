//! Transactions without data, for their markers: InitProducerId (22), AddPartitionsToTxn (24), EndTxn (26).
//!
//! The way to markers without rights on the cluster: WRITE on the transactional id and the topics is enough. The
//! coordinator writes an abort marker to every partition that was added, whether it holds data or not
//! (`TransactionMarkerChannelManager.addTxnMarkersToSend`).

use super::by_topic::{by_topic, topic_name};
use super::coordinator::Coordinated;
use super::{BrokerError, Cluster, ClusterError, persist};
use crate::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, StrBytes, TransactionalId,
};
use std::sync::Arc;
use std::time::Duration;

/// From version 4 on AddPartitionsToTxn is for brokers only (KIP-890).
const ADD_PARTITIONS_VERSION: i16 = 3;
/// From version 5 on EndTxn gives the producer a new epoch each time (KIP-890).
const END_TXN_VERSION: i16 = 4;

impl Cluster {
    /// Producer id and epoch of `transactional_id`, with a newer epoch than whoever had it before, whose open
    /// transaction is aborted first. `timeout_ms` is how long a transaction may stay open: more than 0 and at most
    /// `transaction.max.timeout.ms` of the broker (15 minutes by default).
    ///
    /// # Errors
    /// When no broker answers, or it is refused.
    pub async fn init_transactional_producer_id(
        &self,
        transactional_id: &str,
        timeout_ms: i32,
    ) -> Result<(i64, i16), ClusterError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional(transactional_id)))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        persist(async || {
            let coordinator = self.coordinator(Coordinated::Transaction, transactional_id).await?;
            let answer = self.call(coordinator, &request).await?;
            let request = "get a producer id for transactional id";
            BrokerError(answer.error_code).check(request, transactional_id, None)?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })
        .await
    }

    /// Adds `partitions` to a transaction of `transactional_id`, whose producer id and epoch are `producer`, and
    /// aborts it: each of them normally gets one marker, with the producer's epoch.
    ///
    /// The coordinator answers *before* the markers are written, and writes one again when it does not hear of it:
    /// only the log end tells. CONCURRENT_TRANSACTIONS, while markers of the transaction before are still on their
    /// way, is waited out.
    ///
    /// # Errors
    /// When no broker answers, or it is refused; no marker is written when adding the partitions was refused.
    pub async fn abort_empty_transaction(
        &self,
        transactional_id: &str,
        producer: (i64, i16),
        partitions: &[(Arc<str>, i32)],
    ) -> Result<(), ClusterError> {
        self.add_partitions_to_transaction(transactional_id, producer, partitions).await?;
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional(transactional_id))
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_committed(false);
        persist(async || {
            let coordinator = self.coordinator(Coordinated::Transaction, transactional_id).await?;
            let answer = self.call_limited(coordinator, &request, END_TXN_VERSION, Duration::ZERO).await?;
            BrokerError(answer.error_code).check("end transaction of", transactional_id, None)
        })
        .await
    }

    async fn add_partitions_to_transaction(
        &self,
        transactional_id: &str,
        producer: (i64, i16),
        partitions: &[(Arc<str>, i32)],
    ) -> Result<(), ClusterError> {
        let partitions = partitions.iter().map(|(topic, partition)| (topic.clone(), *partition));
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            AddPartitionsToTxnTopic::default().with_name(topic_name(&topic)).with_partitions(partitions)
        });
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(transactional_id))
            .with_v3_and_below_producer_id(producer.0.into())
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(topics.collect());
        persist(async || {
            let coordinator = self.coordinator(Coordinated::Transaction, transactional_id).await?;
            let answer =
                self.call_limited(coordinator, &request, ADD_PARTITIONS_VERSION, Duration::ZERO).await?;
            let mut refused = None;
            for topic in &answer.results_by_topic_v3_and_below {
                for result in &topic.results_by_partition {
                    let error = BrokerError(result.partition_error_code);
                    // One bad partition spoils the request: the others only say that nothing was tried.
                    let is_telling =
                        refused.is_none_or(|(_, _, known)| known == BrokerError::OPERATION_NOT_ATTEMPTED);
                    if error != BrokerError::NONE && is_telling {
                        refused = Some((&topic.name, result.partition_index, error));
                    }
                }
            }
            let Some((topic, partition, error)) = refused else { return Ok(()) };
            let subject = format!("partition {partition} of topic {}", topic.as_str());
            error.check("add to a transaction", subject, None)
        })
        .await
    }
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}
