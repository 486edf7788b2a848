//! Tokens, headers, GraphQL itself, error shapes, the admin interface.

use crate::support::*;
use bwp_simulator::{Environment, ErrorData, ErrorShape, Options, Wrong};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_token_needs_the_right_credentials_and_patience() {
    let api = Api::start(Options { token_limit: 3, ..Options::default() }).await;
    let refused = api.ask_token("client", "wrong").await;
    assert_eq!(refused.status, 401);
    let granted = api.ask_token("client", "secret").await;
    assert_eq!(granted.json()["expires_in"], json!(900));
    let throttled = api.ask_token("client", "secret").await;
    assert_eq!(throttled.status, 429);
    assert_eq!(throttled.retry_after.as_deref(), Some("10"));
    assert_eq!(api.ask_token("other", "secret").await.status, 401);
    assert_eq!(api.simulator.report().requests["token"], 5);
}

#[tokio::test]
async fn headers_are_checked() {
    let api = Api::with_order().await;
    let query = "{ order(orderIdentifier: {orderId: \"322-ABC1-AAAAAA\"}) { id } }";
    let with = |name: &'static str, value: &'static str| {
        let mut request = api.request(query, &json!({})).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        reqwest::RequestBuilder::from_parts(api.http.clone(), request)
    };
    for (name, value, status) in [
        ("authorization", "Bearer unknown", 401),
        ("x-api-target-id", "bp-other", 403),
        ("x-api-version", "2024-04-01", 400),
        ("content-type", "text/plain", 415),
        ("x-other", "anything", 200),
    ] {
        let answer = send(with(name, value)).await.unwrap();
        assert_eq!(answer.status, status, "{name}");
    }
    api.simulator.expire_tokens();
    assert_eq!(api.read().await.status, 401);
}

#[tokio::test]
async fn a_token_expires() {
    let api = Api::start(Options { token_lifetime: Duration::ZERO, ..Options::default() }).await;
    assert_eq!(api.read().await.status, 401);
}

#[tokio::test]
async fn what_the_schema_does_not_know_is_refused() {
    let api = Api::with_order().await;
    let money = json!({"refunds": {"details": [{"refundTotal": {"totalAmount": {"amount": "1.00", "currencyCode": "USD"}}}]}});
    for (input, word) in [
        (json!({"unknown": 1}), "unknown"),
        (json!({"desiredExecutionState": "SOON"}), "OrderExecutionStateInput"),
        (json!({"refunds": {"details": [{"state": "SUCCESS"}]}}), "refundTotal"),
        (money, "Float"),
    ] {
        let answer = api.update(input).await;
        assert_eq!(answer.status, 200);
        let json = answer.json();
        assert!(json.get("data").is_none());
        assert!(json["errors"][0]["message"].as_str().unwrap().contains(word), "{json}");
    }
    let answer = api.graphql("{ order { nothing } }", &json!({})).await;
    assert_eq!(answer.json()["errors"][0]["extensions"]["classification"], "ValidationError");
    let answer = api.graphql("{ __typename }", &json!({})).await;
    assert_eq!(answer.json(), json!({"data": {"__typename": "Query"}}));
}

#[tokio::test]
async fn production_does_not_know_the_package_mutation() {
    let api = Api::start(Options { environment: Environment::Production, ..Options::default() }).await;
    api.simulator.seed_order(order()).unwrap();
    let answer = api.packages(json!([])).await;
    let errors = answer.json()["errors"].to_string();
    assert!(errors.contains("does not have a field"), "{errors}");
    assert_eq!(api.simulator.order(ORDER).unwrap().accepted, 0);
    let report = api.simulator.report();
    assert_eq!(report.count(Wrong::PackageMutationInProduction), 1);
    api.update(json!({"desiredExecutionState": "STARTED"})).await.order();
}

#[tokio::test]
async fn errors_have_either_shape() {
    let api = Api::start(Options { error_shape: ErrorShape::Gateway, error_data: ErrorData::Null, ..Options::default() }).await;
    let json = api.update(json!({})).await.json();
    assert_eq!(json["data"], Value::Null);
    assert_eq!(json["errors"][0]["errorType"], "ResourceNotFoundError");
}

#[tokio::test]
async fn the_admin_interface() {
    let api = Api::start(Options::default()).await;
    let url = |path: &str| format!("{}/admin/{path}", api.simulator.base_url());
    let seed = json!([{"id": "322-0000-000001", "aliases": [{"type": "EXTERNAL_ID", "id": "#7"}],
        "lines": [{"id": "l", "quantity": 2}], "packages": [{"id": "p"}], "returns": [{}], "refunds": [{}]}]);
    let post = || api.http.post(url("orders")).body(seed.to_string());
    let made = send(post()).await.unwrap();
    assert_eq!((made.status, made.json()), (201, json!({"ids": ["322-0000-000001"]})));
    assert_eq!(send(post()).await.unwrap().status, 409);

    let get = async |path: &str| send(api.http.get(url(path))).await.unwrap();
    for path in ["orders/322-0000-000001", "orders/%237", "orders/%237?type=EXTERNAL_ID"] {
        assert_eq!(get(path).await.json()["id"], "322-0000-000001", "{path}");
    }
    assert_eq!(get("orders/%237?type=OTHER").await.status, 404);

    api.read_as(json!({"alias": alias("EXTERNAL_ID", "#7")})).await.order();
    let requests = get("requests").await;
    assert_eq!(requests.json()[0]["operation"], "order");
    assert_eq!(requests.json()[0]["variables"]["orderIdentifier"]["alias"]["aliasId"], "#7");
    assert!(!requests.text.contains(&api.token));
    assert_eq!(get("judge").await.json()["requests"]["order"], json!(1));

    let script = json!({"rules": [{"when": {"operation": "order"}, "answer": {"status": {"status": 503}}}]});
    let put = api.http.put(url("faults")).body(script.to_string());
    assert_eq!(send(put).await.unwrap().status, 200);
    assert_eq!(api.read().await.status, 503);
    assert_eq!(get("faults").await.json()[0]["fired"], json!(1));
    assert_eq!(send(api.http.delete(url("faults"))).await.unwrap().status, 200);
    assert_eq!(api.read().await.status, 200);
}
