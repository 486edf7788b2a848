//! Whether Buy with Prime lets each target in: a token, and one read of an order that does not exist.

use super::{Check, DEADLINE, in_time};
use crate::config::{Environment, Settings};
use crate::dispatch::target::{self, Target};
use crate::dispatch::verdict::{Judgement, Overrides, Verdict, judge};
use crate::prime::documents::Operation;
use crate::prime::exchange::{Exchange, NotSent};
use crate::prime::token::TokenFailure;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The version that the documents are written for.
const WRITTEN_FOR: &str = "2024-11-01";

/// An order that nobody has.
const NOBODY: &str = "bwp-sync-doctor-asks-for-no-order";

/// Looks at every target, side by side.
pub(super) async fn examine(settings: &Settings) -> Vec<Check> {
    let targets = match target::targets(settings) {
        Ok(targets) => targets,
        Err(text) => return vec![Check::fail("targets", text, "correct the configuration; `bwp-sync check` shows it")],
    };
    let mut running = JoinSet::new();
    for (name, target) in targets {
        let (configured, overrides) = (settings.targets.get(&name).cloned(), target::overrides(settings));
        running.spawn(async move {
            let environment = configured.as_ref().map_or(Environment::Production, |target| target.environment);
            let address = configured.as_ref().map(|target| target.endpoint.clone()).unwrap_or_default();
            let version = configured.as_ref().map(|target| target.api_version.clone()).unwrap_or_default();
            let mut checks = vec![stands(&name, environment, &version, &address)];
            let token = token(&name, &target).await;
            let has_token = token.verdict == super::Verdict::Ok;
            checks.push(token);
            if has_token {
                let label = format!("target {name}: query");
                let way_out = "see that targets.NAME.endpoint is right and can be reached from here (proxy, firewall)";
                checks.push(in_time(&label, way_out, query(&name, &target, &overrides)).await);
            }
            (name, checks)
        });
    }
    let mut done = running.join_all().await;
    done.sort_by(|one, other| one.0.cmp(&other.0));
    done.into_iter().flat_map(|(_, checks)| checks).collect()
}

fn stands(name: &str, environment: Environment, version: &str, address: &str) -> Check {
    let label = format!("target {name}");
    let environment = match environment {
        Environment::Production => "production",
        Environment::Sandbox => "sandbox",
    };
    let tls = if address.starts_with("https://") { "TLS" } else { "plain HTTP on this machine" };
    let text = format!("{environment}, API version {version}, {tls}");
    match version {
        WRITTEN_FOR => Check::ok(label, text),
        _ => Check::warn(
            label,
            format!("{text}; this program is written for {WRITTEN_FOR}"),
            format!("remove targets.{name}.api_version, unless Amazon has told you to set it"),
        ),
    }
}

async fn token(name: &str, target: &Target) -> Check {
    let label = format!("target {name}: token");
    let asked = Instant::now();
    match tokio::time::timeout(DEADLINE, target.client.check_token()).await {
        Ok(Ok(())) => Check::ok(label, format!("obtained in {}", millis(asked.elapsed()))),
        Err(_) => Check::fail(
            label,
            format!("no answer within {} s", DEADLINE.as_secs()),
            format!("see that targets.{name}.token_endpoint can be reached from here (proxy, firewall)"),
        ),
        Ok(Err(error)) => Check::fail(label, error.failure().to_string(), out_of(name, error.failure())),
    }
}

fn out_of(name: &str, failure: TokenFailure) -> String {
    match failure {
        TokenFailure::Refused { status: 400..=403 } | TokenFailure::Rejected => format!(
            "correct targets.{name}.client_id and targets.{name}.client_secret: both are those of one app, for the right environment"
        ),
        TokenFailure::Refused { status: 404 } | TokenFailure::Unreadable => {
            format!("correct targets.{name}.token_endpoint: what answers there gives no tokens")
        }
        TokenFailure::Refused { status: 429 } => "wait a minute; the endpoint has been asked too often".to_owned(),
        TokenFailure::Refused { .. } => "try again; where it stays so, ask Amazon".to_owned(),
        TokenFailure::Unreachable => {
            format!(
                "see that targets.{name}.token_endpoint is right and can be reached from here (DNS, proxy, firewall, certificates)"
            )
        }
    }
}

async fn query(name: &str, target: &Target, overrides: &Overrides) -> Check {
    let label = format!("target {name}: query");
    let order = json!({"orderIdentifier": {"alias": {"aliasType": target.rules().alias_types.order, "aliasId": NOBODY}}});
    let asked = Instant::now();
    // Before the deadline of the check, so that it is known whether anything was sent.
    let until = tokio::time::Instant::now() + DEADLINE - Duration::from_millis(200);
    let exchange = target.client.call(Operation::ReadOrder, &order.to_string(), until).await;
    let took = millis(asked.elapsed());
    let Judgement { verdict, code, message, .. } = judge(Operation::ReadOrder, &exchange, overrides);
    let seen = format!("{code}: {message}");
    match verdict {
        Verdict::Delivered | Verdict::OrderUnknown => {
            Check::ok(label, format!("an order that does not exist is not found, in {took}: Buy with Prime answers with sense"))
        }
        Verdict::Credentials => Check::fail(
            label,
            seen,
            format!(
                "correct targets.{name}.target_id, and see that the app of targets.{name}.client_id is installed for it with the right to read orders"
            ),
        ),
        Verdict::Throttled => {
            Check::warn(label, seen, "Buy with Prime is called too often; see rate.* and who else uses this app")
        }
        Verdict::TargetDown | Verdict::Retry | Verdict::Unknown if is_unreached(&exchange) => Check::fail(
            label,
            seen,
            format!("see that targets.{name}.endpoint is right and can be reached from here (DNS, proxy, firewall)"),
        ),
        Verdict::TargetDown | Verdict::Retry | Verdict::Unknown => Check::fail(
            label,
            seen,
            "Buy with Prime answers without sense: try again, see its status page, and ask Amazon where it stays so; events wait meanwhile",
        ),
        _ => Check::warn(label, seen, "the answer is none that a missing order should give; see docs/verdicts.md"),
    }
}

fn is_unreached(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::NotSent { why: NotSent::Connect | NotSent::DeadlineBeforeSend } | Exchange::NoAnswer { .. })
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
