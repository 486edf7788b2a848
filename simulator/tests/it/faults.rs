//! Every fault of the script, seen from a client.

use crate::support::*;
use bwp_simulator::{Answer as Fault, Apply, Body, Options, RetryAfter, Rule, Script, When};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn started() -> Value {
    json!({"desiredExecutionState": "STARTED"})
}

fn rule(answer: Fault, apply: Option<Apply>) -> Rule {
    Rule { when: When { operation: Some("updateOrder".to_owned()), ..When::default() }, apply, answer, ..Rule::default() }
}

async fn with_fault(answer: Fault, apply: Option<Apply>) -> Api {
    let api = Api::with_order().await;
    api.simulator.faults().one(rule(answer, apply));
    api
}

fn accepted(api: &Api) -> u64 {
    api.simulator.order(ORDER).unwrap().accepted
}

async fn until_accepted(api: &Api, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while accepted(api) < wanted {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn throttling_says_when_to_come_back() {
    let retry_after = Some(RetryAfter::Seconds(3));
    let api = with_fault(Fault::TooManyRequests { retry_after }, None).await;
    let answer = api.update(started()).await;
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("3")));

    let kind = "ThrottlingError".to_owned();
    let retry_after = Some(RetryAfter::Date(3));
    let fault = Fault::Errors { kind, code: None, retry_after };
    let api = with_fault(fault, None).await;
    let answer = api.update(started()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.error(), ("ThrottlingError".to_owned(), None));
    let date = answer.retry_after.unwrap();
    let date = chrono::DateTime::parse_from_rfc2822(&date).unwrap();
    let ahead = date.timestamp() - chrono::Utc::now().timestamp();
    assert!((3..=4).contains(&ahead), "{ahead}");
    assert_eq!(accepted(&api), 0);
}

#[tokio::test]
async fn any_status_with_any_body() {
    for (status, body, start) in [(503, Body::Json, "{\"errors\""), (502, Body::Html, "<!DOCTYPE"), (500, Body::Empty, "")] {
        let fault = Fault::Status { status, body, retry_after: None };
        let api = with_fault(fault, None).await;
        let answer = api.update(started()).await;
        assert_eq!(answer.status, status);
        assert!(answer.text.starts_with(start));
        assert_eq!(accepted(&api), 0);
    }
}

#[tokio::test]
async fn a_two_hundred_that_says_nothing() {
    let api = with_fault(Fault::Html, Some(Apply::Yes)).await;
    let answer = api.update(started()).await;
    assert_eq!((answer.status, accepted(&api)), (200, 1));
    assert!(answer.text.starts_with('<'));

    let api = with_fault(Fault::NullData, None).await;
    assert_eq!(api.update(started()).await.json(), json!({"data": null}));
    assert_eq!(accepted(&api), 0);

    let kind = "InternalServerError".to_owned();
    let api = with_fault(Fault::Beside { kind, code: None }, None).await;
    let json = api.update(started()).await.json();
    assert_eq!(json["data"]["updateOrder"]["order"]["id"], ORDER);
    assert_eq!(json["errors"].as_array().unwrap().len(), 1);
    assert_eq!(accepted(&api), 1);
}

#[tokio::test]
async fn an_expired_token() {
    let api = with_fault(Fault::Unauthorized, None).await;
    assert_eq!(api.update(started()).await.status, 401);
}

#[tokio::test]
async fn connections_are_reset_before_and_after_applying() {
    for (apply, count) in [(Apply::No, 0), (Apply::Yes, 1)] {
        let api = with_fault(Fault::Reset, Some(apply)).await;
        let error = api.try_update(started()).await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert!(format!("{error:?}").contains("reset"), "{error:?}");
        assert_eq!(accepted(&api), count);
    }
}

#[tokio::test]
async fn a_lost_request_is_applied_later() {
    let api = with_fault(Fault::Reset, Some(Apply::LateMs(50))).await;
    api.try_update(started()).await.unwrap_err();
    assert_eq!(accepted(&api), 0);
    until_accepted(&api, 1).await;
}

#[tokio::test]
async fn no_answer_within_any_patience() {
    for (apply, count) in [(Apply::No, 0), (Apply::Yes, 1)] {
        let api = with_fault(Fault::Never, Some(apply)).await;
        let request = api.update_request(&started());
        let request = request.timeout(Duration::from_millis(100));
        assert!(send(request).await.unwrap_err().is_timeout());
        assert_eq!(accepted(&api), count);
    }
}

#[tokio::test]
async fn a_client_that_leaves_early_ends_a_slow_request() {
    let api = Api::with_order().await;
    api.simulator.faults().one(Rule { latency_ms: 60_000, ..rule(Fault::Normal, None) });
    let request = api.update_request(&started()).timeout(Duration::from_millis(50));
    assert!(send(request).await.unwrap_err().is_timeout());
    let deadline = Instant::now() + Duration::from_secs(10);
    while api.simulator.report().unclear == 0 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(accepted(&api), 0);
}

#[tokio::test]
async fn rules_choose_their_requests() {
    let api = Api::with_order().await;
    let html = || rule(Fault::Html, None);
    let fired = async |when: When, tries: usize| {
        api.simulator.faults().one(Rule { when, ..html() });
        let mut fired = Vec::new();
        for _ in 0..tries {
            fired.push(api.read().await.text.starts_with('<'));
        }
        fired
    };
    let nth = When { nth: Some(2), ..When::default() };
    assert_eq!(fired(nth, 3).await, [false, true, false]);
    let some = When { after: 1, times: Some(1), ..When::default() };
    assert_eq!(fired(some, 3).await, [false, true, false]);
    let operation = Some("updateOrder".to_owned());
    assert_eq!(fired(When { operation, ..When::default() }, 1).await, [false]);
    for (order, hit) in [(ORDER, true), ("1001", true), ("1002", false)] {
        let when = When { order: Some(order.to_owned()), ..When::default() };
        assert_eq!(fired(when, 1).await, [hit], "{order}");
    }
    let half = || When { probability: Some(0.5), ..When::default() };
    let first = fired(half(), 40).await;
    assert_eq!(first, fired(half(), 40).await, "the dice fall the same way again");
    let hits = first.iter().filter(|it| **it).count();
    assert!((8..=32).contains(&hits), "{hits}");
}

#[tokio::test]
async fn the_first_rule_that_fires_decides_and_is_counted() {
    let api = Api::with_order().await;
    let once = Rule { when: When { times: Some(1), ..When::default() }, ..rule(Fault::Html, None) };
    let rules = vec![once, rule(Fault::NullData, None)];
    api.simulator.faults().set(Script { rules, seed: 0 });
    assert!(api.update(started()).await.text.starts_with('<'));
    assert!(api.update(started()).await.text.starts_with('{'));
    let counts = api.simulator.faults().counts();
    let counts: Vec<_> = counts.iter().map(|it| (it.matched, it.fired)).collect();
    assert_eq!(counts, [(2, 1), (1, 1)]);
    api.simulator.faults().clear();
    api.update(started()).await.order();
}

#[tokio::test]
async fn the_token_endpoint_fails_too() {
    let api = Api::with_order().await;
    let operation = Some("token".to_owned());
    let when = When { operation, ..When::default() };
    for (fault, status) in [
        (Fault::Status { status: 500, body: Body::Html, retry_after: Some(RetryAfter::Seconds(1)) }, 500),
        (Fault::TooManyRequests { retry_after: None }, 429),
        (Fault::Html, 200),
    ] {
        let rule = Rule { when: when.clone(), answer: fault, ..Rule::default() };
        api.simulator.faults().one(rule);
        assert_eq!(api.ask_token("client", "secret").await.status, status);
    }
}

#[tokio::test]
async fn a_rule_is_switched_on_and_off_and_keeps_its_count() {
    let api = Api::with_order().await;
    let named = |off| Rule { name: Some("page".to_owned()), off, ..rule(Fault::Html, None) };
    api.simulator.faults().set(Script { rules: vec![named(true)], seed: 0 });
    api.update(started()).await.order();
    assert_eq!(api.simulator.faults().switch("page", true), 1);
    assert!(api.update(started()).await.text.starts_with('<'));
    assert_eq!(api.simulator.faults().switch("page", false), 1);
    api.update(started()).await.order();
    assert_eq!(api.simulator.faults().switch("another", true), 0);
    assert_eq!(api.simulator.faults().counts()[0].fired, 1);
}

#[tokio::test]
async fn data_beside_errors_is_there_also_where_nothing_was_changed() {
    let fault = Fault::Beside { kind: "ThrottlingError".to_owned(), code: None };
    let api = with_fault(fault, Some(Apply::No)).await;
    let json = api.update(started()).await.json();
    assert_eq!(json["data"]["updateOrder"]["order"]["id"], ORDER);
    assert_eq!(json["errors"].as_array().unwrap().len(), 1);
    assert_eq!(accepted(&api), 0);
}

#[tokio::test]
async fn a_gateway_cuts_off_what_is_never_answered() {
    let options = Options { gateway_limit: Duration::from_millis(50), ..Options::default() };
    let api = Api::start(options).await;
    api.simulator.seed_order(order()).unwrap();
    api.simulator.faults().one(rule(Fault::Never, None));
    assert!(api.try_update(started()).await.unwrap_err().is_request());
    assert_eq!(api.simulator.report().unclear, 1);
}

#[tokio::test]
async fn it_leaves_and_comes_back_with_what_it_holds() {
    let api = Api::with_order().await;
    api.update(started()).await.order();
    api.simulator.leave().await;
    assert!(api.try_update(started()).await.unwrap_err().is_connect());
    api.simulator.come_back().await.unwrap();
    api.update(started()).await.order();
    assert_eq!(accepted(&api), 2);
}
