//! The fast mode: the same state and the same judge, and it tells when what came.

use crate::support::*;
use bwp_simulator::{Answer as Fault, Body, Options, Rule, Simulator, Wrong};
use serde_json::{Value, json};

async fn fast() -> Api {
    let api = Api::start(Options { fast: true, ..Options::default() }).await;
    api.simulator.seed_order(order()).unwrap();
    api
}

async fn arrivals(simulator: &Simulator) -> Vec<Value> {
    let answer = client().delete(format!("{}/admin/arrivals", simulator.base_url())).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn each_mutation_is_told_in_its_order_and_only_once() {
    let api = fast().await;
    api.update(refunds(&[refund("RF-1", "PARTIAL", "1"), refund("RF-2", "SUCCESS", "2")])).await.order();
    api.read().await.order();
    let answer = Fault::Status { status: 503, body: Body::Json, retry_after: None };
    api.simulator.faults().one(Rule { answer, ..Rule::default() });
    api.update(refunds(&[refund("RF-1", "SUCCESS", "3")])).await;
    let told = arrivals(&api.simulator).await;
    let seen: Vec<_> = told.iter().map(|it| (it["order"].clone(), it["things"].clone(), it["accepted"].clone())).collect();
    assert_eq!(seen, [(json!(ORDER), json!(["RF-1", "RF-2"]), json!(true)), (json!(ORDER), json!(["RF-1"]), json!(false))]);
    assert!(told[0]["micros"].as_u64().unwrap() <= told[1]["micros"].as_u64().unwrap());
    assert_eq!(arrivals(&api.simulator).await, [json!(null); 0]);
}

#[tokio::test]
async fn what_is_wrong_is_found_and_refused_as_ever() {
    let api = fast().await;
    api.update(refunds(&[refund("RF-1", "SUCCESS", "2")])).await.order();
    let (kind, code) = api.update(refunds(&[refund("RF-1", "SUCCESS", "1")])).await.error();
    assert_eq!((kind.as_str(), code.as_deref()), ("ValidationError", Some("InvalidRefundTotal")));
    assert_eq!(api.simulator.report().count(Wrong::TotalWentDown), 1);
    // Without it, no arrivals are kept.
    let slow = Api::with_order().await;
    slow.update(refunds(&[refund("RF-1", "SUCCESS", "2")])).await.order();
    assert_eq!(arrivals(&slow.simulator).await, [json!(null); 0]);
}
