//! How many `updateOrder` a simulator answers per second, one after the other on one connection. Run it in a release build:
//! `cargo run --release -p bwp-simulator --example throughput -- 100000`
#![allow(clippy::unwrap_used)]

use bwp_simulator::{AutoOrders, Options, Simulator};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

const QUERY: &str = "mutation u($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderInput!) { \
    updateOrder(orderIdentifier: $orderIdentifier, input: $input) { order { id aliases { aliasType aliasId } \
    lineItems { id aliases { aliasType aliasId } } returns { details { id state aliases { aliasType aliasId } } } \
    refunds { details { id state aliases { aliasType aliasId } refundTotal { totalAmount { amount currencyCode } } \
    paymentDetails { id } } } } } }";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = std::env::args().nth(1).map_or(2000, |it| it.parse().unwrap());
    let simulator = Simulator::start(Options { auto_orders: Some(AutoOrders::default()), ..Options::default() }).await.unwrap();
    let address = simulator.address();
    let client = tokio::task::spawn_blocking(move || run(address, count));
    let seconds = client.await.unwrap();
    let report = simulator.report();
    assert_eq!((report.accepted, report.violations), (count, 0));
    println!("{count} in {seconds:.2} s: {:.0}/s", count as f64 / seconds);
}

fn run(address: SocketAddr, count: u64) -> f64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let form = "grant_type=client_credentials&client_id=client&client_secret=secret";
    let head = "content-type: application/x-www-form-urlencoded";
    let answer = ask(&mut stream, "/token", head, form);
    let token = answer.split('"').nth(3).unwrap();
    let head = format!(
        "authorization: Bearer {token}\r\nx-api-target-id: bp-simulated\r\n\
         x-api-version: 2024-11-01\r\ncontent-type: application/json"
    );
    let start = Instant::now();
    for n in 0..count {
        let refund = json!({
            "aliases": [{"aliasType": "EXTERNAL_REFUND_ID", "aliasId": format!("r-{n}")}],
            "state": "SUCCESS",
            "refundTotal": {"totalAmount": {"amount": 5, "currencyCode": "USD"}},
            "paymentDetails": [{
                "id": "p", "amount": {"amount": 5, "currencyCode": "USD"},
                "paymentMethod": {"type": "CARD", "displayString": "Visa"},
            }],
        });
        let alias = json!({"aliasType": "EXTERNAL_ID", "aliasId": format!("o-{n}")});
        let variables = json!({
            "orderIdentifier": {"alias": alias},
            "input": {"refunds": {"details": [refund]}},
        });
        let body = json!({"query": QUERY, "variables": variables}).to_string();
        ask(&mut stream, "/graphql", &head, &body);
    }
    start.elapsed().as_secs_f64()
}

/// Answers are short and come in one piece; the body is what follows the empty line.
fn ask(stream: &mut TcpStream, path: &str, head: &str, body: &str) -> String {
    let length = body.len();
    let request = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 65536];
    let read = stream.read(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}
