//! One attempt: one call under one deadline, judged and taken into its lane.

use super::apply::{self, Moment};
use super::mask::mask_payers;
use super::verdict::{Overrides, judge};
use super::{Dispatcher, lock};
use crate::ledger::Claimed;
use crate::ledger::settle::{Release, Settlement};
use crate::ops::metrics;
use crate::plan::lane::Draft;
use crate::plan::step::Mutation;
use crate::plan::{Next, Turn};
use crate::prime::documents::Operation;
use crate::prime::exchange::{Exchange, NotSent};
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use std::time::Instant;

/// Makes the attempt, and says what is to be written. It always ends by `dispatch.request_timeout` after the claim.
pub async fn attempt(dispatcher: &Dispatcher, mut claimed: Claimed) -> Settlement {
    let Some(target) = dispatcher.targets.get(&claimed.target) else {
        // Only lanes of configured targets are claimed.
        return Settlement { turn: rest(), release: Release::Never, claimed };
    };
    let deadline = tokio::time::Instant::from_std(claimed.began + dispatcher.request_timeout);
    let (operation, variables) = match &claimed.next {
        Next::Send(draft) => (operation(draft), draft.variables.to_string()),
        Next::Read { variables, .. } => (Operation::ReadOrder, variables.to_string()),
        Next::Rest { .. } => return Settlement { turn: rest(), release: Release::Never, claimed },
    };
    let called = Instant::now();
    fail_point!("attempt-begins");
    let exchange = target.client.call(operation, &variables, deadline).await;
    fail_point!("attempt-answered");
    metrics::CALL_SECONDS.observe(called.elapsed());
    let mut judgement = judge(operation, &exchange, &Overrides::new());
    if let Next::Send(draft) = &claimed.next {
        judgement.message = mask_payers(&judgement.message, &draft.variables);
    }
    metrics::ATTEMPTS.add(&[judgement.verdict.name()], 1);
    if !judgement.listed {
        tracing::warn!(code = judgement.code, operation = operation.name(), "an error that the table of verdicts does not list");
    }
    let now = at(&claimed, Instant::now());
    let jitter = fastrand::f64();
    let rules = target.rules_now();
    let moment = Moment { rules: &rules, schedule: target.schedule, began: at(&claimed, called), now, jitter };
    {
        let mut gate = lock(&target.gate);
        match &exchange {
            Exchange::NotSent { why: NotSent::DeadlineBeforeSend } => gate.abandon(),
            _ => gate.end(apply::sign(&exchange, &judgement), Instant::now()),
        }
        if let Some(wait) = apply::floor(&judgement, &moment).and_then(|until| (until - now).to_std().ok()) {
            gate.hold(Instant::now() + wait);
        }
    }
    if let Some(until) = apply::floor(&judgement, &moment)
        && let Err(error) = dispatcher.ledger.throttle(&claimed.target, until).await
    {
        tracing::warn!(%error, "other replicas could not be told of a Retry-After");
    }
    apply::apply(&mut claimed.lane, &claimed.next, &exchange, &judgement, &moment);
    let turn = claimed.lane.turn(&rules, now);
    fail_point!("attempt-applied");
    let release = match &turn.next {
        Next::Send(_) | Next::Read { .. } => Release::Now,
        Next::Rest { until: Some(at) } => Release::At(*at),
        Next::Rest { until: None } => Release::Never,
    };
    Settlement { claimed, turn, release }
}

fn operation(draft: &Draft) -> Operation {
    match draft.mutation {
        Mutation::UpdateOrder => Operation::UpdateOrder,
        Mutation::UpdatePackages => Operation::UpdatePackages,
    }
}

/// A moment of this process by the ledger's clock.
fn at(claimed: &Claimed, moment: Instant) -> DateTime<Utc> {
    let since = moment.saturating_duration_since(claimed.began);
    claimed.at + TimeDelta::from_std(since).unwrap_or_default()
}

fn rest() -> Turn {
    Turn { settled: Vec::new(), standings: Default::default(), charged: DateTime::UNIX_EPOCH, next: Next::Rest { until: None } }
}
