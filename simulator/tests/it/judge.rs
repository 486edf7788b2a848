//! Each wrong thing is done once, and found; and what is right is not accused.

use crate::support::*;
use bwp_simulator::{Answer as Fault, Apply, Body, Options, RetryAfter, Rule, When, Wrong};
use serde_json::{Value, json};
use std::time::Duration;

fn once(operation: &str, answer: Fault, apply: Apply) -> Rule {
    Rule {
        when: When { operation: Some(operation.to_owned()), times: Some(1), ..When::default() },
        apply: Some(apply),
        answer,
        ..Rule::default()
    }
}

/// Only this kind was found, so often.
fn only(api: &Api, kind: Wrong, count: u64) {
    let report = api.simulator.report();
    assert_eq!(report.count(kind), count, "{report:#?}");
    assert_eq!(report.violations, count, "{report:#?}");
    assert!(report.findings.iter().all(|it| it.order == ORDER));
}

fn started() -> Value {
    json!({"desiredExecutionState": "STARTED"})
}

#[tokio::test]
async fn two_mutations_of_one_order_at_once() {
    let api = Api::with_order().await;
    api.simulator.faults().one(Rule { latency_ms: 300, ..Rule::default() });
    let by_alias = "mutation { updateOrder(orderIdentifier: {alias: {aliasType: \"EXTERNAL_ID\", \
                    aliasId: \"1001\"}}, input: {desiredExecutionState: STARTED}) { order { id } } }";
    let nothing = json!({});
    let (one, two, read) = tokio::join!(api.update(started()), api.graphql(by_alias, &nothing), api.read());
    one.order();
    two.order();
    read.order();
    only(&api, Wrong::ConcurrentMutations, 1);
    assert_eq!(api.simulator.report().max_in_flight, 2);
}

#[tokio::test]
async fn one_after_the_other_is_right() {
    let api = Api::with_order().await;
    for total in ["1", "2", "2.00"] {
        api.update(refunds(&[refund("RF-1", "PARTIAL", total)])).await.order();
    }
    let report = api.simulator.report();
    assert_eq!((report.violations, report.accepted, report.max_in_flight), (0, 3, 1));
}

#[tokio::test]
async fn a_state_that_goes_back() {
    let api = Api::with_order().await;
    api.update(refunds(&[refund("RF-1", "SUCCESS", "1")])).await.order();
    api.update(refunds(&[refund("RF-1", "PARTIAL", "1")])).await.error();
    only(&api, Wrong::StateWentBack, 1);
    api.update(returns(&[new_return("RMA-1", 1)])).await.order();
    let to = |state: &str| {
        let name = json!({"alias": alias("EXTERNAL-RETURN-ID", "RMA-1")});
        returns(&[json!({"returnIdentifier": name, "state": state})])
    };
    api.update(to("COMPLETED")).await.order();
    api.update(to("CREATED")).await.error();
    only(&api, Wrong::StateWentBack, 2);
}

#[tokio::test]
async fn a_total_that_goes_down() {
    let api = Api::with_order().await;
    api.update(refunds(&[refund("RF-1", "PARTIAL", "8.00")])).await.order();
    api.update(refunds(&[refund("RF-1", "PARTIAL", "7.99")])).await.error();
    only(&api, Wrong::TotalWentDown, 1);
}

#[tokio::test]
async fn a_return_created_twice() {
    let api = Api::with_order().await;
    let mut nameless = new_return("x", 1);
    nameless["aliases"] = json!([]);
    api.update(returns(&[nameless.clone()])).await.order();
    api.update(returns(&[nameless])).await.order();
    only(&api, Wrong::ReturnCreatedTwice, 1);

    // Another name since, but the same return.
    api.update(returns(&[new_return("RMA-1", 1)])).await.order();
    let name = json!({"alias": alias("EXTERNAL-RETURN-ID", "RMA-1")});
    let renamed = json!({"returnIdentifier": name, "aliases": [alias("EXTERNAL-RETURN-ID", "RMA-2")]});
    api.update(returns(&[renamed])).await.order();
    api.update(returns(&[new_return("RMA-1", 1)])).await.order();
    only(&api, Wrong::ReturnCreatedTwice, 2);

    // Two returns of the same lines under two names are two returns.
    api.update(returns(&[new_return("RMA-3", 1), new_return("RMA-4", 1)])).await.order();
    only(&api, Wrong::ReturnCreatedTwice, 2);
}

#[tokio::test]
async fn a_payment_applied_twice() {
    let api = Api::with_order().await;
    let paid = |refund_id: &str| {
        let mut entry = refund(refund_id, "SUCCESS", "5");
        let method = json!({"type": "CARD", "displayString": "Visa"});
        entry["paymentDetails"] = json!([{"id": "pt-1", "amount": money("5"), "paymentMethod": method}]);
        refunds(&[entry])
    };
    api.update(paid("RF-1")).await.order();
    api.update(paid("RF-2")).await.order();
    assert_eq!(api.simulator.report().violations, 0);
    api.update(paid("RF-1")).await.order();
    only(&api, Wrong::PaymentAppliedTwice, 1);
}

#[tokio::test]
async fn a_blind_repeat_after_each_unclear_answer() {
    let status = |status| Fault::Status { status, body: Body::Json, retry_after: None };
    let errors = |kind: &str| Fault::Errors { kind: kind.to_owned(), code: None, retry_after: None };
    let beside = Fault::Beside { kind: "InternalServerError".to_owned(), code: None };
    for (fault, unclear) in [
        (Fault::Reset, true),
        (status(500), true),
        (Fault::Html, true),
        (Fault::NullData, true),
        (errors("InternalServerError"), true),
        (errors("NeverHeardOf"), true),
        (beside, true),
        (errors("ThrottlingError"), false),
        (errors("ConflictException"), false),
        (status(400), false),
        (Fault::TooManyRequests { retry_after: None }, false),
        (Fault::Unauthorized, false),
    ] {
        for read in [false, true] {
            let api = Api::with_order().await;
            api.simulator.faults().one(once("updateOrder", fault.clone(), Apply::No));
            let _ = api.try_update(started()).await;
            if read {
                api.read().await.order();
            }
            api.update(started()).await.order();
            let count = u64::from(unclear && !read);
            only(&api, Wrong::BlindRepeat, count);
        }
    }
}

#[tokio::test]
async fn a_timeout_is_unclear_and_a_failed_read_does_not_clear_it() {
    let api = Api::with_order().await;
    api.simulator.faults().one(once("updateOrder", Fault::Never, Apply::Yes));
    let request = api.update_request(&started()).timeout(Duration::from_millis(50));
    assert!(send(request).await.unwrap_err().is_timeout());
    api.simulator.faults().one(once("order", Fault::Html, Apply::No));
    api.read().await;
    api.update(started()).await.order();
    let report = api.simulator.report();
    assert_eq!(report.count(Wrong::BlindRepeat) + report.count(Wrong::ConcurrentMutations), 1);
}

#[tokio::test]
async fn a_request_before_retry_after_is_over() {
    let api = Api::start(Options { retry_after_grace: Duration::ZERO, ..Options::default() }).await;
    api.simulator.seed_order(order()).unwrap();
    let retry_after = Some(RetryAfter::Seconds(1));
    let fault = Fault::TooManyRequests { retry_after };
    api.simulator.faults().one(once("updateOrder", fault, Apply::No));
    let told = send(api.update_request(&started()).header("x-client", "one")).await.unwrap();
    assert_eq!(told.status, 429);
    api.read().await.order();
    let report = api.simulator.report();
    // Of the order and of the target.
    assert_eq!(report.count(Wrong::InsideRetryAfter), 2);
    assert!(report.findings.iter().all(|it| it.told.as_ref().is_some_and(|told| told.client == "one")), "{report:#?}");
}

#[tokio::test]
async fn others_have_a_second_to_learn_of_retry_after_and_then_it_is_over() {
    let api = Api::with_order().await;
    let other = bwp_simulator::OrderSeed::new("322-0000-000002");
    api.simulator.seed_order(other).unwrap();
    let retry_after = Some(RetryAfter::Seconds(0));
    let fault = Fault::Status { status: 503, body: Body::Json, retry_after };
    api.simulator.faults().one(once("updateOrder", fault, Apply::No));
    assert_eq!(api.update(started()).await.retry_after.as_deref(), Some("0"));
    api.read().await.order();
    api.simulator.faults().one(once(
        "updateOrder",
        Fault::TooManyRequests { retry_after: Some(RetryAfter::Seconds(60)) },
        Apply::No,
    ));
    assert_eq!(api.update(started()).await.status, 429);
    api.read_as(json!({"orderId": "322-0000-000002"})).await.order();
    only(&api, Wrong::InsideRetryAfter, 0);
    api.read().await.order();
    only(&api, Wrong::InsideRetryAfter, 1);
}

#[tokio::test]
async fn several_mutations_in_one_request() {
    let api = Api::with_order().await;
    let one = "updateOrder(orderIdentifier: {orderId: \"322-ABC1-AAAAAA\"}, input: {}) { order { id } }";
    let two = format!("mutation {{ a: {one} b: {one} }}");
    let json = api.graphql(&two, &json!({})).await.json();
    assert_eq!(json["data"]["b"]["order"]["id"], ORDER);
    only(&api, Wrong::SeveralMutationsInOneRequest, 1);
}

#[tokio::test]
async fn errors_beside_no_data_say_clearly_what_they_say() {
    let api = Api::start(Options::default()).await;
    let kind = "ThrottlingError".to_owned();
    api.simulator.faults().one(once("updateOrder", Fault::Beside { kind, code: None }, Apply::No));
    for _ in 0..2 {
        assert!(api.update(started()).await.json()["data"]["updateOrder"].is_null());
    }
    assert_eq!(api.simulator.report().violations, 0);
}
