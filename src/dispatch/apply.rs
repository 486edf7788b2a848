//! What a judged answer makes of a lane, and what it says of its target. Pure.

use super::gate::Sign;
use super::schedule::Schedule;
use super::verdict::{Judgement, Verdict};
use crate::plan::answers::Postponed;
use crate::plan::outcome::{Class, Reason};
use crate::plan::{Lane, Next, Rules};
use crate::prime::answer::Body;
use crate::prime::exchange::{Exchange, NoAnswer};
use crate::prime::view::OrderView;
use chrono::{DateTime, Utc};

/// What is known when an answer is taken in.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The planner's rules.
    pub rules: &'a Rules,
    /// The schedule of retries.
    pub schedule: Schedule,
    /// When the call began, by the ledger's clock.
    pub began: DateTime<Utc>,
    /// Now, by the ledger's clock.
    pub now: DateTime<Utc>,
    /// From 0 to 1.
    pub jitter: f64,
}

/// Takes an answer into its lane.
pub fn apply(lane: &mut Lane, next: &Next, exchange: &Exchange, judgement: &Judgement, moment: &Moment) {
    let reason = Reason::new(Class::Refused, &judgement.code, judgement.message.clone());
    match next {
        Next::Send(_) => sent(lane, exchange, judgement, reason, moment),
        Next::Read { questions, .. } => match (judgement.verdict, view(exchange)) {
            (Verdict::Delivered, Some(view)) => lane.learn_from_read(view, questions.clone(), moment.rules, moment.began),
            (Verdict::OrderUnknown, _) => lane.order_not_read(reason, moment.rules, moment.now),
            // The gate keeps the target's calls back; the lane is due as soon as it opens.
            (Verdict::Credentials | Verdict::TargetDown, _) => {}
            (Verdict::Retry, _) if !exchange.sent() => {}
            _ => {
                let due = moment.schedule.due(lane.memo.failed_reads + 1, moment.now, moment.jitter);
                lane.read_failed(reason, due, moment.rules.charged(moment.now));
            }
        },
        Next::Rest { .. } => {}
    }
    // Whatever was answered, and whatever it says of what was sent.
    lane.memo.not_before = lane.memo.not_before.max(floor(judgement, moment));
}

fn sent(lane: &mut Lane, exchange: &Exchange, judgement: &Judgement, reason: Reason, moment: &Moment) {
    let now = moment.now;
    let charged = moment.rules.charged(now);
    let postponed = Postponed { reason: reason.clone(), floor: floor(judgement, moment), charged };
    let due = |failures| moment.schedule.due(failures, now, moment.jitter);
    match judgement.verdict {
        Verdict::Delivered => match view(exchange) {
            Some(view) => lane.accepted(view, now),
            None => lane.unknown(&postponed, true, now, due),
        },
        Verdict::Refused => lane.refused(reason, now),
        Verdict::AlreadyExists | Verdict::CheckState => lane.refused_perhaps_done(reason, now),
        Verdict::OrderUnknown => lane.order_unknown(reason, now),
        Verdict::Credentials | Verdict::TargetDown => lane.withdraw(),
        Verdict::Retry if !exchange.sent() => lane.withdraw(),
        Verdict::Retry | Verdict::Throttled => lane.postponed(&postponed, now, due),
        Verdict::NotYet => lane.postponed(&postponed, now, |_| now + moment.rules.sandbox_interval),
        Verdict::Unknown => lane.unknown(&postponed, is_at_an_end(exchange), now, due),
    }
}

/// Whether the API itself has answered, and so is done with the request. A 5xx, a 408 and what is no answer of GraphQL may come from
/// a gateway that gave it up, while it is still on its way behind it.
fn is_at_an_end(exchange: &Exchange) -> bool {
    match exchange {
        Exchange::Answered { status, body, .. } => *status != 408 && *status < 500 && !matches!(body, Body::Unreadable { .. }),
        Exchange::NoAnswer { .. } | Exchange::NotSent { .. } => false,
    }
}

/// What an answer says of its target.
pub fn sign(exchange: &Exchange, judgement: &Judgement) -> Sign {
    match judgement.verdict {
        _ if matches!(exchange, Exchange::NoAnswer { why: NoAnswer::Timeout }) => Sign::Late,
        Verdict::Credentials | Verdict::TargetDown => Sign::Closed,
        Verdict::Throttled => Sign::Throttled,
        // A read that failed at the other end is `Retry`: it changes nothing, but the target did not answer with sense.
        Verdict::Unknown | Verdict::Retry => Sign::Failing,
        _ => Sign::Up,
    }
}

/// Until when the answer asked to be left alone, whatever its status.
pub fn floor(judgement: &Judgement, moment: &Moment) -> Option<DateTime<Utc>> {
    judgement.retry_after.map(|after| after.until(moment.now))
}

fn view(exchange: &Exchange) -> Option<&OrderView> {
    match exchange {
        Exchange::Answered { body: Body::Order(view), .. } => Some(view),
        _ => None,
    }
}
