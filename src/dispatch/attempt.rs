//! One attempt: one call under one deadline, judged and taken into its lane.

use super::apply::{self, Moment};
use super::mask::{Payers, text_without_payers};
use super::place::Place;
use super::spans;
use super::target::Target;
use super::verdict::{Judgement, Verdict, judge};
use super::{Dispatcher, lock};
use crate::ledger::Claimed;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::settle::{Release, Settlement};
use crate::ops::metrics;
use crate::plan::lane::Draft;
use crate::plan::step::Mutation;
use crate::plan::{Next, Rules};
use crate::prime::deadline::Deadline;
use crate::prime::documents::Operation;
use crate::prime::exchange::Exchange;
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What came of an attempt.
#[derive(Debug)]
pub struct Ended {
    /// What is to be written.
    pub settlement: Settlement,
    /// Kept until it is written; for the order's next turn where it may take it at once.
    pub place: Place,
}

/// Makes the attempt; nothing comes of it where there is nothing to do. It always ends by `dispatch.request_timeout` after the
/// leasing of its order began.
pub async fn attempt(dispatcher: &Dispatcher, mut claimed: Claimed, mut place: Place) -> Option<Ended> {
    let target = Arc::clone(place.target());
    let called = Instant::now();
    fail_point!("attempt-begins");
    let (operation, request) = request(&claimed.next)?;
    let exchange = call(dispatcher, &mut place, &claimed, operation, request).await;
    fail_point!("attempt-answered");
    metrics::CALL_SECONDS.observe(&[&target.name, operation.name()], called.elapsed());
    let judgement = masked(judge(operation, &exchange, &dispatcher.verdicts), &claimed);
    count(operation, &judgement);
    spans::called(&target.name, &claimed, operation, &exchange, &judgement, called.elapsed());
    let (began, took) = (at(&claimed, called), called.elapsed());
    let attempt = attempt_row(&claimed.next, (operation, request), &exchange, &judgement, (began, took));
    let rules = target.rules();
    let now = at(&claimed, Instant::now());
    let moment = Moment { rules: &rules, schedule: target.schedule, began, now, jitter: fastrand::f64() };
    place.call_ended(&exchange, apply::sign(&exchange, &judgement));
    hold(dispatcher, &target, &judgement, &moment).await;
    apply::apply(&mut claimed.lane, &claimed.next, &exchange, &judgement, &moment);
    let mut settlement = settlement(claimed, &rules, now, attempt);
    settlement.may_go_on = settlement.release == Release::Now && place.rests();
    Some(Ended { settlement, place })
}

/// What is asked, and with which variables.
fn request(next: &Next) -> Option<(Operation, &str)> {
    match next {
        Next::Send(draft) => Some((operation(draft), &draft.variables)),
        Next::Read { variables, .. } => Some((Operation::ReadOrder, variables)),
        Next::Rest { .. } => None,
    }
}

async fn call(dispatcher: &Dispatcher, place: &mut Place, claimed: &Claimed, operation: Operation, variables: &str) -> Exchange {
    let end = tokio::time::Instant::from_std(claimed.began + dispatcher.request_timeout);
    let deadline = Deadline::new(end, dispatcher.cut.clone());
    match place.call_begins(&deadline).await {
        Ok(()) => place.target().client.call(operation, variables, deadline).await,
        Err(why) => Exchange::NotSent { why },
    }
}

/// What was judged, without anything of a payer: also a code may be a word of the answer.
fn masked(judgement: Judgement, claimed: &Claimed) -> Judgement {
    if judgement.verdict == Verdict::Delivered {
        return judgement;
    }
    let sent = if let Next::Send(draft) = &claimed.next { serde_json::from_str(&draft.variables).ok() } else { None };
    let payers = Payers::of(sent.as_ref(), claimed.lane.events.values().map(|live| &live.event));
    Judgement { code: payers.mask(&judgement.code), message: payers.mask(&judgement.message), ..judgement }
}

/// Counts what was judged. What the table does not list takes its safe row, and is named once for everybody to see.
fn count(operation: Operation, judgement: &Judgement) {
    let counter = if operation.writes() { &metrics::ATTEMPTS } else { &metrics::READS };
    counter.add(&[judgement.verdict.name()], 1);
    if !judgement.listed {
        metrics::UNLISTED_ERRORS.add(&[&metrics::few(&judgement.code)], 1);
        tracing::warn!(
            code = judgement.code,
            operation = operation.name(),
            verdict = judgement.verdict.name(),
            "an error that the table of verdicts does not list; the safe verdict stands, and verdicts.CODE can set another"
        );
    }
}

/// Keeps a `Retry-After`, here and on every replica.
async fn hold(dispatcher: &Dispatcher, target: &Target, judgement: &Judgement, moment: &Moment<'_>) {
    let Some(until) = apply::floor(judgement, moment) else { return };
    if let Ok(wait) = (until - moment.now).to_std() {
        lock(&target.gate).hold(Instant::now() + wait);
    }
    if let Err(error) = dispatcher.ledger.throttle(&target.name, until).await {
        tracing::warn!(%error, "other replicas could not be told of a Retry-After");
    }
}

/// The lane's turn after the answer, as it is to be written.
fn settlement(mut claimed: Claimed, rules: &Rules, now: DateTime<Utc>, attempt: AttemptRow) -> Settlement {
    let turn = claimed.lane.turn(rules, now);
    fail_point!("attempt-applied");
    let release = match &turn.next {
        Next::Send(_) | Next::Read { .. } => Release::Now,
        Next::Rest { until: Some(at) } => Release::At(*at),
        Next::Rest { until: None } => Release::Never,
    };
    Settlement { claimed, turn, release, may_go_on: false, attempt }
}

/// The call as it is kept to explain the order: payers are masked here, and never get further.
fn attempt_row(
    next: &Next,
    (operation, request): (Operation, &str),
    exchange: &Exchange,
    judgement: &Judgement,
    (at, took): (DateTime<Utc>, Duration),
) -> AttemptRow {
    let events = if let Next::Send(draft) = next { draft.events().into_iter().collect() } else { Vec::new() };
    let (http, request_id) = match exchange {
        Exchange::Answered { status, request_id, .. } => (Some(*status), request_id.clone()),
        Exchange::NoAnswer { .. } | Exchange::NotSent { .. } => (None, None),
    };
    AttemptRow {
        at,
        operation: operation.name().to_owned(),
        events,
        request: Some(text_without_payers(request).into_owned()),
        verdict: judgement.verdict.name().to_owned(),
        http,
        // Of what went well there is nothing to say.
        code: (judgement.verdict != Verdict::Delivered).then(|| judgement.code.clone()),
        message: (judgement.verdict != Verdict::Delivered).then(|| judgement.message.clone()),
        request_id,
        took_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
    }
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
