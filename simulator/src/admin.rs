//! `/admin/...`: what tests and operators ask the simulator itself. Needs no token; it listens where the simulator does.

use crate::answer::{Response, json_answer, refusal};
use crate::faults::Script;
use crate::state::{Order, OrderSeed};
use crate::token::decoded;
use crate::{App, view};
use hyper::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;

pub(crate) fn serve(app: &App, method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> Response {
    let ok = |body: serde_json::Value| json_answer(StatusCode::OK, &body);
    match (method.as_str(), path) {
        ("GET", "/admin/judge") => json_answer(StatusCode::OK, &app.judge.report()),
        ("DELETE", "/admin/judge") => {
            app.judge.forget();
            ok(json!({}))
        }
        ("DELETE", "/admin/arrivals") => json_answer(StatusCode::OK, &app.arrivals.take()),
        ("GET", "/admin/requests") => json_answer(StatusCode::OK, &app.requests()),
        ("GET", "/admin/faults") => json_answer(StatusCode::OK, &app.faults.counts()),
        ("PUT", "/admin/faults") => match serde_json::from_slice::<Script>(body) {
            Ok(script) => {
                app.faults.set(script);
                ok(json!({}))
            }
            Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        ("DELETE", "/admin/faults") => {
            app.faults.clear();
            ok(json!({}))
        }
        ("DELETE", "/admin/tokens") => {
            app.tokens.expire_all();
            ok(json!({}))
        }
        ("POST", "/admin/orders") => seed(app, body),
        ("GET", "/admin/orders") => ok(json!({ "orders": app.store.len() })),
        ("GET", path) => match path.strip_prefix("/admin/orders/") {
            Some(name) => order(app, &decoded(name), query),
            None => refusal(StatusCode::NOT_FOUND, "there is nothing here"),
        },
        _ => refusal(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// One order or an array of them.
pub(crate) fn read_seeds(body: &[u8]) -> Result<Vec<OrderSeed>, serde_json::Error> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => serde_json::from_slice(body),
        _ => serde_json::from_slice(body).map(|one| vec![one]),
    }
}

fn seed(app: &App, body: &[u8]) -> Response {
    let seeds = match read_seeds(body) {
        Ok(seeds) => seeds,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match app.store.seed(seeds) {
        Ok(ids) => json_answer(StatusCode::CREATED, &json!({ "ids": ids })),
        Err(error) => refusal(StatusCode::CONFLICT, &error.message),
    }
}

fn order(app: &App, name: &str, query: Option<&str>) -> Response {
    let pairs = query.unwrap_or_default().split('&');
    let alias_type = pairs.filter_map(|pair| pair.strip_prefix("type=")).map(decoded).next();
    let found: Option<Arc<Order>> = view(app, name, alias_type.as_deref());
    match found {
        Some(order) => json_answer(StatusCode::OK, &*order),
        None => refusal(StatusCode::NOT_FOUND, "there is no such order"),
    }
}
