//! What teams write instead: a consumer that keeps nothing. A queue per order in memory, one call at a time for each order, so many at
//! once in all, and the contiguous prefix of what is done committed to Kafka. A crash sends again what was not committed, blindly; a
//! call that fails is made again until it goes well, and its order waits. Run as a process of its own, on one core.

use bwp_sync::prime::documents::UPDATE_ORDER;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const COMMITS_EVERY: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);

/// Where it reads and where it sends.
#[derive(Clone, Debug, serde::Serialize, Deserialize)]
pub struct Settings {
    pub brokers: String,
    pub topic: String,
    pub group: String,
    /// `host:port` of the stand-in.
    pub address: String,
    pub target_id: String,
    pub credentials: String,
    pub in_flight: usize,
}

/// A refund as it comes; what is sent on as it is stays text.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: Refund<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refund<'a> {
    #[serde(borrow)]
    order: Named<'a>,
    refund: Named<'a>,
    #[serde(borrow)]
    state: &'a RawValue,
    total: Money<'a>,
    request_reason: &'a RawValue,
    payments: Vec<Payment<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

#[derive(Deserialize)]
struct Money<'a> {
    amount: &'a str,
    #[serde(borrow)]
    currency: &'a RawValue,
}

#[derive(Deserialize)]
struct Payment<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    amount: Money<'a>,
    state: &'a RawValue,
    method: Means<'a>,
}

#[derive(Deserialize)]
struct Means<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a RawValue,
    display: &'a RawValue,
}

/// The mutation, with the document and the members that bwp-sync sends.
fn body(head: &str, event: &Refund<'_>) -> Bytes {
    let money = |it: &Money<'_>| format!(r#"{{"amount":{},"currencyCode":{}}}"#, it.amount, it.currency);
    let payment = |it: &Payment<'_>| {
        let (amount, method) = (money(&it.amount), &it.method);
        format!(
            r#"{{"amount":{amount},"id":{},"paymentMethod":{{"displayString":{},"type":{}}},"state":{}}}"#,
            it.id, method.display, method.kind, it.state
        )
    };
    let payments: Vec<String> = event.payments.iter().map(payment).collect();
    let (refund, order, total) = (event.refund.id, event.order.id, money(&event.total));
    format!(
        r#"{head}{{"input":{{"refunds":{{"details":[{{"aliases":[{{"aliasId":{refund},"aliasType":"EXTERNAL_REFUND_ID"}}],"paymentDetails":[{}],"refundRequestReason":{},"refundTotal":{{"totalAmount":{total}}},"state":{}}}]}}}},"orderIdentifier":{{"alias":{{"aliasId":{order},"aliasType":"EXTERNAL_ID"}}}}}}}}"#,
        payments.join(","),
        event.request_reason,
        event.state
    )
    .into()
}

struct Job {
    partition: i32,
    offset: i64,
    body: Bytes,
}

/// What is done of a partition, from the first offset that is not.
#[derive(Default)]
struct Prefix {
    first: i64,
    done: VecDeque<bool>,
}

impl Prefix {
    fn done(&mut self, offset: i64) {
        let at = usize::try_from(offset - self.first).unwrap();
        self.done.resize(self.done.len().max(at + 1), false);
        self.done[at] = true;
        while self.done.front() == Some(&true) {
            self.done.pop_front();
            self.first += 1;
        }
    }
}

struct Sender {
    settings: Settings,
    authorization: String,
    permits: Semaphore,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    /// An order is here while it is worked on; what came for it meanwhile is behind.
    orders: Mutex<HashMap<String, VecDeque<Job>>>,
    prefixes: Mutex<HashMap<i32, Prefix>>,
}

impl Sender {
    /// One order, until nothing is left for it.
    async fn work(self: Arc<Self>, order: String, mut job: Job) {
        loop {
            while !self.send(job.body.clone()).await {
                tokio::time::sleep(PAUSE).await;
            }
            self.prefixes.lock().unwrap().entry(job.partition).or_default().done(job.offset);
            let mut orders = self.orders.lock().unwrap();
            match orders.get_mut(&order).unwrap().pop_front() {
                Some(next) => job = next,
                None => {
                    orders.remove(&order);
                    return;
                }
            }
        }
    }

    /// One call; false where it has to be made again.
    async fn send(&self, body: Bytes) -> bool {
        let _permit = self.permits.acquire().await.unwrap();
        let idle = self.idle.lock().unwrap().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.settings.address).await,
        };
        let request = post(&self.settings, "/graphql", "application/json")
            .header(AUTHORIZATION, &self.authorization)
            .header("x-api-target-id", &self.settings.target_id)
            .header("x-api-version", "2024-11-01")
            .body(Full::new(body))
            .unwrap();
        let Ok(answer) = connection.send_request(request).await else {
            return false;
        };
        let status = answer.status();
        let Ok(text) = answer.into_body().collect().await else {
            return false;
        };
        if connection.ready().await.is_ok() {
            self.idle.lock().unwrap().push(connection);
        }
        #[derive(Deserialize)]
        struct Answer {
            errors: Option<IgnoredAny>,
        }
        let answer = serde_json::from_slice::<Answer>(&text.to_bytes());
        status == StatusCode::OK && answer.is_ok_and(|it| it.errors.is_none())
    }

    fn commit(&self, consumer: &StreamConsumer) {
        let mut list = TopicPartitionList::new();
        for (partition, prefix) in self.prefixes.lock().unwrap().iter() {
            list.add_partition_offset(&self.settings.topic, *partition, Offset::Offset(prefix.first)).unwrap();
        }
        if list.count() > 0 {
            let _ = consumer.commit(&list, CommitMode::Async);
        }
    }
}

fn post(settings: &Settings, path: &str, kind: &str) -> hyper::http::request::Builder {
    Request::builder().method(Method::POST).uri(path).header(HOST, &settings.address).header(CONTENT_TYPE, kind)
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn token(settings: &Settings) -> String {
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
    }
    let request = post(settings, "/token", "application/x-www-form-urlencoded");
    let request = request.body(Full::new(settings.credentials.clone().into())).unwrap();
    let answer = connect(&settings.address).await.send_request(request).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Token>(&text).unwrap().access_token
}

/// Reads and sends until it is killed.
pub async fn run(settings: Settings) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group).set("enable.auto.commit", "false");
    let consumer: StreamConsumer = config.set("auto.offset.reset", "earliest").create().unwrap();
    consumer.subscribe(&[&settings.topic]).unwrap();
    let query = serde_json::Value::from(UPDATE_ORDER);
    let head = format!(r#"{{"query":{query},"operationName":"updateOrder","variables":"#);
    let sender = Arc::new(Sender {
        authorization: format!("Bearer {}", token(&settings).await),
        permits: Semaphore::new(settings.in_flight),
        idle: Mutex::default(),
        orders: Mutex::default(),
        prefixes: Mutex::default(),
        settings,
    });
    let mut ticks = tokio::time::interval(COMMITS_EVERY);
    loop {
        let message = tokio::select! {
            message = consumer.recv() => message.unwrap(),
            _ = ticks.tick() => { sender.commit(&consumer); continue; }
        };
        let event: Event<'_> = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let job = Job { partition: message.partition(), offset: message.offset(), body: body(&head, &event.data) };
        let order = event.data.order.id.get().to_owned();
        let mut orders = sender.orders.lock().unwrap();
        match orders.get_mut(&order) {
            Some(behind) => behind.push_back(job),
            None => {
                orders.insert(order.clone(), VecDeque::new());
                tokio::spawn(Arc::clone(&sender).work(order, job));
            }
        }
    }
}
