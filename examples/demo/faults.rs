//! What Buy with Prime does wrong during the day. Every rule here is sure to come into play, and the check wants to see that.

use crate::day::HERO;
use bwp_simulator::{Answer, Apply, Body, RetryAfter, Rule, Script, When};

/// Which `updateOrder` of the order whose story is told gets no answer, although it takes effect.
pub const LOST: u64 = 2;

/// The fault script.
pub fn script() -> Script {
    let updates =
        |after: u64, times: u64| When { operation: operation("updateOrder"), after, times: Some(times), ..When::default() };
    let packages = |nth: u64| When { operation: operation("updateOrderPackageInformation"), nth: Some(nth), ..When::default() };
    let some = |share: f64| When { probability: Some(share), ..updates(20, 1000) };
    let of_hero = When { operation: operation("updateOrder"), order: Some(HERO.to_string()), nth: Some(LOST), ..When::default() };
    let throttled = || Answer::TooManyRequests { retry_after: Some(RetryAfter::Seconds(2)) };
    let unavailable = Answer::Status { status: 503, body: Body::Html, retry_after: None };
    let internal = Answer::Errors { kind: "InternalServerError".to_owned(), code: None, retry_after: None };
    let throttling = Answer::Errors { kind: "ThrottlingError".to_owned(), code: None, retry_after: None };
    let rule = |name: &str, when, apply, answer| Rule { name: Some(name.to_owned()), when, apply, answer, ..Rule::default() };
    let rules = vec![
        rule("connection reset after the change was made (order of the story)", of_hero, Some(Apply::Yes), Answer::Reset),
        rule("HTTP 429 with Retry-After: 2", updates(150, 1), None, throttled()),
        rule("HTTP 429 with Retry-After: 2, later", updates(400, 1), None, throttled()),
        rule("connection reset after the change was made", some(0.01), Some(Apply::Yes), Answer::Reset),
        rule("connection reset before", some(0.01), None, Answer::Reset),
        rule("HTTP 503 with a page", some(0.02), None, unavailable),
        rule("InternalServerError after the change was made", some(0.01), Some(Apply::Yes), internal),
        rule("ThrottlingError", some(0.01), None, throttling),
        rule("connection reset after a package was moved", packages(40), Some(Apply::Yes), Answer::Reset),
    ];
    Script { rules, seed: 7 }
}

fn operation(name: &str) -> Option<String> {
    Some(name.to_owned())
}
