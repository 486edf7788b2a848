//! Batch after batch into the ledger, each until it is durable.

use super::batch::Batch;
use super::offsets::Position;
use super::{Inbox, IntakeError, Signals};
use crate::backoff;
use crate::ledger::{Incoming, Report};
use crate::ops::metrics;
use fail::fail_point;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

/// Writes until there are no more batches. Once it is stopped, each batch has one last try.
pub(super) async fn write(
    inbox: &impl Inbox,
    mut batches: Receiver<Batch>,
    reports: Sender<Vec<Position>>,
    signals: &Signals,
    stop: &CancellationToken,
) {
    while let Some(Batch { records, positions }) = batches.recv().await {
        fail_point!("batch-received");
        if !make_durable(inbox, &records, signals, stop).await {
            tracing::info!(records = records.len(), "stopped before the ledger was back; these records will be read again");
            return;
        }
        fail_point!("batch-durable");
        // Where nobody listens, the consumer is lost, and the records will be read again.
        if reports.send(positions).is_err() {
            return;
        }
        fail_point!("batch-reported");
    }
}

/// Tries until all records are durable, or it is stopped. Where the ledger refuses them together, they go in halves, so that the
/// one that it cannot take stands alone in the log.
async fn make_durable(inbox: &impl Inbox, records: &[Incoming], signals: &Signals, stop: &CancellationToken) -> bool {
    let mut pauses = backoff::reconnect();
    let mut left = vec![records];
    let mut failures = 0_u32;
    while let Some(part) = left.pop() {
        match inbox.intake(part).await {
            Ok(report) => {
                if failures > 0 {
                    tracing::info!("the ledger takes records again, after {failures} failures");
                }
                failures = 0;
                backoff::reset(&mut pauses);
                count(part, &report);
                (signals.taken_in)(&report);
                continue;
            }
            Err(IntakeError::Broken(_)) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second, first]);
                continue;
            }
            Err(error) => {
                left.push(part);
                failures += 1;
                let pause = backoff::pause(&mut pauses);
                complain(&error, part, failures, pause);
                if stop.is_cancelled() || stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return false;
                }
            }
        }
    }
    true
}

fn complain(error: &IntakeError, part: &[Incoming], failures: u32, pause: Duration) {
    let again = pause.as_millis();
    match (error, part.first()) {
        (IntakeError::Broken(why), Some(Incoming { place, .. })) => tracing::error!(
            topic = place.topic,
            partition = place.partition,
            offset = place.offset,
            "the ledger refuses this record, and reading stands still until it takes it: {why} (again in {again} ms)"
        ),
        _ if failures == 1 => tracing::warn!("records cannot be written: {error} (again in {again} ms)"),
        _ => tracing::debug!(failures, "records cannot be written: {error} (again in {again} ms)"),
    }
}

fn count(records: &[Incoming], report: &Report) {
    let mut read = BTreeMap::<&str, u64>::new();
    for record in records {
        *read.entry(&record.place.topic).or_default() += 1;
    }
    read.into_iter().for_each(|(topic, records)| metrics::RECORDS_READ.add(&[topic], records));
    metrics::TOMBSTONES.add(&[], report.tombstones);
    metrics::DUPLICATES.add(&[], report.duplicates);
}
