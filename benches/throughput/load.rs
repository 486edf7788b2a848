//! The events: refunds of 650 bytes, a thing of its own each, so that each is a mutation. The same in every run.

use crate::support::kafka::{Outgoing, Topics};
use chrono::{SecondsFormat, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// So many orders share the events evenly.
pub const ORDERS: usize = 2_000;
const SEED: u64 = 7;
/// Bytes of a record without anything of the producer's own.
const PLAIN: usize = 650;

/// An event that is not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Planned {
    pub order: usize,
    /// Which of its order's events, from 0.
    pub number: usize,
}

/// What the OMS calls an order.
pub fn order_name(order: usize) -> String {
    format!("O-{order:05}")
}

/// The order that may have many events more than the others.
pub const HOT: usize = 0;

/// So many events, those of an order in their sequence and the orders mixed; before them, so many of one order alone.
pub fn planned(events: usize, orders: usize, hot: usize) -> Vec<Planned> {
    let coldest = usize::from(hot > 0);
    let mut of: Vec<usize> = (0..events - hot).map(|n| coldest + n % (orders - coldest)).collect();
    fastrand::Rng::with_seed(SEED).shuffle(&mut of);
    of.splice(0..0, std::iter::repeat_n(HOT, hot));
    let mut next = vec![0; orders];
    let event = |order: usize| {
        next[order] += 1;
        Planned { order, number: next[order] - 1 }
    };
    of.into_iter().map(event).collect()
}

impl Planned {
    /// The same of an order that comes so many later.
    pub fn shifted(self, orders: usize) -> Self {
        Self { order: self.order + orders, ..self }
    }

    /// What the OMS calls the refund: it tells the judge which event a mutation was made of.
    pub fn thing(self) -> String {
        format!("RF-{:05}-{:05}", self.order, self.number)
    }

    /// The event of a refund that was so called.
    pub fn of(thing: &str) -> Option<Self> {
        let (order, number) = thing.strip_prefix("RF-")?.split_once('-')?;
        Some(Self { order: order.parse().ok()?, number: number.parse().ok()? })
    }

    /// The record, made now, of so many bytes at least: what is missing is the producer's own.
    pub fn record(self, bytes: usize) -> Outgoing {
        let (order, refund) = (order_name(self.order), self.thing());
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let own = match bytes.saturating_sub(PLAIN) {
            0 => String::new(),
            more => format!(r#","extensions":{{"own":"{}"}}"#, "x".repeat(more)),
        };
        let value = format!(
            r#"{{"specversion":"1.0","id":"ev-{refund}","source":"/oms/refunds","type":"oms.refund.v1","time":"{time}","subject":"{order}","datacontenttype":"application/json","data":{{"order":{{"id":"{order}"}},"refund":{{"id":"{refund}"}},"version":1,"state":"SUCCESS","total":{{"amount":"12.50","currency":"USD"}},"requestReason":"DAMAGED_DEFECTIVE_ITEM","payments":[{{"id":"pt-1","amount":{{"amount":"8.00","currency":"USD"}},"state":"SUCCESS","method":{{"type":"CREDIT_CARD","display":"Visa ending in 1234"}}}},{{"id":"pt-2","amount":{{"amount":"4.50","currency":"USD"}},"state":"SUCCESS","method":{{"type":"GIFT_CARD","display":"Gift card"}}}}]{own}}}}}"#
        );
        Outgoing::raw(Some(order.as_bytes()), Some(value.as_bytes())).header("content-type", b"application/cloudevents+json")
    }
}

/// Makes them all at once.
pub async fn produce(topics: &Topics, events: &[Planned], bytes: usize) {
    for part in events.chunks(2_000) {
        let records: Vec<_> = part.iter().map(|event| event.record(bytes)).collect();
        topics.produce_all(&topics.refunds, &records).await;
    }
}

/// Makes so many a second, and tells when each was made, in microseconds since 1970.
pub async fn produce_paced(topics: &Arc<Topics>, events: &[Planned], per_second: u32) -> HashMap<Planned, u64> {
    let made = Arc::new(Mutex::new(HashMap::new()));
    let (began, step) = (Instant::now(), Duration::from_secs(1) / per_second);
    let mut under_way = JoinSet::new();
    for (n, event) in events.iter().copied().enumerate() {
        sleep_until(began + step * n as u32).await;
        let (topics, made) = (Arc::clone(topics), Arc::clone(&made));
        under_way.spawn(async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
            made.lock().unwrap().insert(event, u64::try_from(now).unwrap());
            topics.produce(&topics.refunds, &event.record(0)).await;
        });
    }
    under_way.join_all().await;
    Arc::into_inner(made).unwrap().into_inner().unwrap()
}
