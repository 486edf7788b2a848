//! How many `updateOrder` a simulator answers per second, and what CPU time each takes: in all, and of the server alone,
//! which has the main thread to itself. So many updates on so many connections, one at a time on each. Run it in a release
//! build: `cargo run --release -p bwp-simulator --example throughput -- 100000 8`
#![allow(clippy::unwrap_used)]

use bwp_simulator::{AutoOrders, Options, Simulator};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Instant;

const QUERY: &str = "mutation u($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderInput!) { \
    updateOrder(orderIdentifier: $orderIdentifier, input: $input) { order { id aliases { aliasType aliasId } \
    lineItems { id aliases { aliasType aliasId } } returns { details { id state aliases { aliasType aliasId } } } \
    refunds { details { id state aliases { aliasType aliasId } refundTotal { totalAmount { amount currencyCode } } \
    paymentDetails { id } } } } } }";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let argument = |n: usize, default: u64| std::env::args().nth(n).map_or(default, |it| it.parse().unwrap());
    let connections = argument(2, 1);
    let each = argument(1, 2000) / connections;
    let count = each * connections;
    let simulator = Simulator::start(Options { auto_orders: Some(AutoOrders::default()), ..Options::default() }).await.unwrap();
    let address = simulator.address();
    let (start, server, all) = (Instant::now(), cpu("/proc/thread-self/stat"), cpu("/proc/self/stat"));
    let client = |n| tokio::task::spawn_blocking(move || run(address, n * each..(n + 1) * each));
    let clients: Vec<_> = (0..connections).map(client).collect();
    for client in clients {
        client.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let micros = |from: u64, path: &str| (cpu(path) - from) as f64 * TICK / count as f64;
    let (server, all) = (micros(server, "/proc/thread-self/stat"), micros(all, "/proc/self/stat"));
    let report = simulator.report();
    assert_eq!((report.accepted, report.violations), (count, 0));
    println!("{count} in {seconds:.2} s on {connections} connections: {:.0}/s", count as f64 / seconds);
    println!("CPU per update: {server:.1} µs of the server ({:.0}/s on one core), {all:.1} µs in all", 1e6 / server);
}

/// Microseconds in a tick of `/proc`.
const TICK: f64 = 10_000.0;

/// Ticks of CPU time, user's and system's, since the process or thread began.
fn cpu(path: &str) -> u64 {
    let stat = std::fs::read_to_string(path).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields.skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}

fn run(address: SocketAddr, numbers: Range<u64>) {
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
    for n in numbers {
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
