//! The metrics, in the text format of OpenMetrics 1.0.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use verbatim_mirror::{FlowReport, FlowState};
use verbatim_pipeline::{Counters, PartitionStatus, Side, Status};

/// What it is, as HTTP calls it.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of `reports`.
pub(super) fn written(reports: Vec<FlowReport>) -> String {
    let mut registry = Registry::with_prefix("verbatim");
    registry.register_collector(Box::new(Reports(reports)));
    let mut metrics = String::new();
    match text::encode(&mut metrics, &registry) {
        Ok(()) => metrics,
        // Writing into memory does not fail.
        Err(fmt::Error) => String::new(),
    }
}

#[derive(Debug)]
struct Reports(Vec<FlowReport>);

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl Reports {
    fn each_flow(&self) -> impl Iterator<Item = (Labels<'_, 1>, &Status)> {
        self.0.iter().filter_map(|flow| Some(([("flow", &*flow.name)], flow.status.as_ref()?)))
    }

    /// Writes a counter that every flow has.
    fn count_flows(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        value: impl Fn(&Status) -> u64,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, status) in self.each_flow() {
            metric
                .encode_family(&labels)?
                .encode_counter::<[(&str, &str); 0], _, u64>(&value(status), None)?;
        }
        Ok(())
    }

    fn each_partition(
        &self,
        mut write: impl FnMut(Labels<'_, 3>, &PartitionStatus) -> fmt::Result,
    ) -> fmt::Result {
        for (flow, status) in self.each_flow() {
            for partition in &status.partitions {
                let number = partition.name.partition.to_string();
                let [flow] = flow;
                write([flow, ("topic", &partition.name.topic), ("partition", &number)], partition)?;
            }
        }
        Ok(())
    }

    /// Writes a counter that every partition has.
    fn count(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        value: impl Fn(&Counters) -> u64,
    ) -> fmt::Result {
        self.count_kinds(encoder, (name, help), |counters| [([], value(counters))])
    }

    /// Writes a counter of which every partition has several, with `M` labels more.
    fn count_kinds<const M: usize, const K: usize>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        values: impl Fn(&Counters) -> [(Labels<'static, M>, u64); K],
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        self.each_partition(|labels, partition| {
            for (kind, value) in values(&partition.counters) {
                let all = (labels, kind);
                let mut family = metric.encode_family(&all)?;
                family.encode_counter::<[(&str, &str); 0], _, u64>(&value, None)?;
            }
            Ok(())
        })
    }

    /// Writes a gauge of those partitions where it is known.
    fn gauge<V: EncodeGaugeValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        value: impl Fn(&PartitionStatus) -> Option<V>,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        self.each_partition(|labels, partition| match value(partition) {
            Some(value) => metric.encode_family(&labels)?.encode_gauge(&value),
            None => Ok(()),
        })
    }
}

impl Collector for Reports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let mut up = encoder.encode_descriptor(
            "flow_up",
            "Whether the flow has begun to copy (1), or begins, waits to be started again after a failure, has ended, or is not to copy (0)",
            None,
            MetricType::Gauge,
        )?;
        for flow in &self.0 {
            let is_up = matches!(flow.state, FlowState::Discovering(_) | FlowState::Running(_));
            up.encode_family(&[("flow", &*flow.name)])?.encode_gauge(&u32::from(is_up))?;
        }
        let mut answers = encoder.encode_descriptor(
            "cluster_up",
            "Whether a cluster of a flow answers: it could be asked who leads what when that was tried last (1)",
            None,
            MetricType::Gauge,
        )?;
        for ([flow], status) in self.each_flow() {
            for (side, name) in [(Side::Source, "source"), (Side::Target, "target")] {
                let is_up = !status.unanswering.contains(&side);
                answers.encode_family(&[flow, ("cluster", name)])?.encode_gauge(&u32::from(is_up))?;
            }
        }
        let mut held = encoder.encode_descriptor(
            "held_bytes",
            "Memory for data on its way, in bytes",
            None,
            MetricType::Gauge,
        )?;
        for (labels, status) in self.each_flow() {
            held.encode_family(&labels)?.encode_gauge(&status.held_bytes)?;
        }
        self.count_flows(
            encoder,
            ("copied_bytes", "Bytes read into memory, written from it, and copied within it"),
            |status| status.copied_bytes,
        )?;
        self.count(encoder, ("records", "Records on the target"), |counters| counters.records)?;
        self.count(encoder, ("bytes", "Bytes of batches on the target"), |counters| counters.bytes)?;
        self.count_kinds(
            encoder,
            ("batches", "Batches of the source that are on the target: as they came, their records in a new one, or as a part of a larger one"),
            |counters| {
                [
                    ([("sent", "verbatim")], counters.forwarded_batches),
                    ([("sent", "repacked")], counters.repacked_batches),
                    ([("sent", "merged")], counters.merged_batches),
                ]
            },
        )?;
        self.count(
            encoder,
            ("spliced_batches", "Batches on the target whose payload never left the kernel"),
            |counters| counters.spliced_batches,
        )?;
        self.count_kinds(
            encoder,
            (
                "dropped_batches",
                "Batches that are not to be copied: of aborted transactions, copied to the source by another flow, or without records",
            ),
            |counters| {
                [
                    ([("why", "aborted")], counters.aborted_batches),
                    ([("why", "foreign")], counters.foreign_batches),
                    ([("why", "empty")], counters.empty_batches),
                ]
            },
        )?;
        self.count(
            encoder,
            ("filled_offsets", "Offsets filled on the target because the source has no record there"),
            |counters| counters.filled_offsets,
        )?;
        self.gauge(
            encoder,
            (
                "not_verbatim",
                "Whether records went on in other batches than they came in (1), since the flow was started last",
            ),
            |partition| Some(u32::from(partition.counters.is_changed())),
        )?;
        self.gauge(encoder, ("lag_records", "Offsets that the target is behind the source"), |partition| {
            partition.lag_records
        })?;
        self.gauge(
            encoder,
            ("held_back_records", "Offsets at the end of the source that open transactions hold back; they are not part of the lag"),
            PartitionStatus::held_back_records,
        )?;
        self.gauge(encoder, ("source_offset", "Source offset of the next record to copy"), |partition| {
            Some(partition.position.source_offset)
        })?;
        self.gauge(encoder, ("target_offset", "Target offset that it will get"), |partition| {
            Some(partition.position.target_offset)
        })?;
        self.gauge(
            encoder,
            ("partition_copying", "Whether it is being copied now (and not looked up, paused or stopped)"),
            |partition| Some(u32::from(partition.is_copying)),
        )?;
        self.gauge(
            encoder,
            ("gaps", "Gaps that were noted because the source's log had changed"),
            |partition| Some(partition.gaps.len()),
        )?;
        self.gauge(
            encoder,
            ("partition_stopped", "Whether the partition stopped; /status says why"),
            |partition| Some(u32::from(partition.stopped.is_some())),
        )
    }
}
