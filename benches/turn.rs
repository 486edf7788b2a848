//! What one turn of a lane costs, by how many events and things it has: microseconds of one core, median. Pure: no I/O. Run by
//! `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/support/rules.rs"]
mod rules;

use bwp_sync::config::Coalesce;
use bwp_sync::event::{self, RawRecord, Reading};
use bwp_sync::plan::lane::Live;
use bwp_sync::plan::subject::AliasTypes;
use bwp_sync::plan::{Lane, Next, Rules};
use bwp_sync::prime::view::OrderView;
use chrono::{DateTime, Utc};
use rules::rules;
use serde_json::json;
use std::time::Instant;

fn refund(no: usize) -> Live {
    let data = json!({"order": {"id": "hot"}, "refund": {"id": format!("RF-{no}")}, "state": "SUCCESS",
        "total": {"amount": "0.01", "currency": "USD"}});
    let event = json!({"specversion": "1.0", "id": format!("e-{no}"), "source": "bench", "type": "oms.refund.v1",
        "time": "2025-03-01T00:00:00Z", "datacontenttype": "application/json", "data": data});
    let value = event.to_string();
    let headers = [("content-type", Some(b"application/cloudevents+json".as_slice()))];
    match event::read(&RawRecord { key: Some(b"hot"), value: Some(value.as_bytes()), headers: &headers }) {
        Reading::Event(event) => Live::new(no as i64, *event, &AliasTypes::default()),
        other => panic!("{other:?}"),
    }
}

/// A lane with so many refunds that were sent, and so many that are to be.
fn lane(rules: &Rules, settled: usize, queued: usize, now: DateTime<Utc>) -> Lane {
    let mut lane = Lane { bwp_id: Some("B-hot".to_owned()), ..Lane::default() };
    lane.events = (0..settled).map(|no| (no as i64, refund(no))).collect();
    let shown = (0..settled).map(
        |no| json!({"id": format!("r-{no}"), "aliases": [{"aliasType": "EXTERNAL_REFUND_ID", "aliasId": format!("RF-{no}")}]}),
    );
    let view: OrderView =
        serde_json::from_value(json!({"id": "B-hot", "refunds": {"details": shown.collect::<Vec<_>>()}})).unwrap();
    while let Next::Send(draft) = lane.turn(rules, now).next {
        lane.begin(&draft, now);
        lane.accepted(&view, now);
    }
    lane.events = (settled..settled + queued).map(|no| (no as i64, refund(no))).collect();
    lane.things.stored();
    lane
}

/// One attempt of the lane: the turn that chooses it, and the one that takes its answer in.
fn attempt(lane: &mut Lane, rules: &Rules, now: DateTime<Utc>) -> usize {
    let Next::Send(draft) = lane.turn(rules, now).next else { panic!("nothing to send") };
    lane.begin(&draft, now);
    lane.accepted(&OrderView::default(), now);
    lane.turn(rules, now).settled.len()
}

fn main() {
    let now: DateTime<Utc> = "2025-03-02T00:00:00Z".parse().unwrap();
    println!("{:>10} {:>10} {:>10} {:>12}", "coalesce", "settled", "queued", "us/attempt");
    for coalesce in [Coalesce::Off, Coalesce::Order] {
        let rules = Rules { coalesce, ..rules() };
        for (settled, queued) in [(0, 1), (0, 10), (0, 100), (0, 1_000), (2_000, 1), (2_000, 1_000)] {
            // Made in joined mutations, whatever is measured.
            let lane = lane(&Rules { coalesce: Coalesce::Order, ..rules.clone() }, settled, queued, now);
            let mut took: Vec<f64> = (0..15)
                .map(|_| {
                    let mut lane = lane.clone();
                    let began = Instant::now();
                    assert!(attempt(&mut lane, &rules, now) > 0);
                    began.elapsed().as_secs_f64() * 1e6
                })
                .collect();
            took.sort_by(f64::total_cmp);
            println!("{:>10} {settled:>10} {queued:>10} {:>12.0}", format!("{coalesce:?}"), took[took.len() / 2]);
        }
    }
}
