//! Two replicas at a virtual clock: the loop's decisions, with neither a network nor a database nor any waiting.
//!
//! What runs is the program's own: the lanes' turns, the table of verdicts, what an answer makes of a lane, the gates and the
//! schedule. What is played is what lies between them: claims in the order of `next_at`, leases, the time of calls and of settling,
//! and the row that the replicas share about their target.

use super::prime::{Fault, Prime, is_open, no_token};
use crate::parsed;
use bwp_sync::dispatch::apply::{self, Moment};
use bwp_sync::dispatch::gate::{Gate, GateRules};
use bwp_sync::dispatch::schedule::Schedule;
use bwp_sync::dispatch::verdict::{Overrides, judge};
use bwp_sync::event::{self, Reading};
use bwp_sync::plan::lane::{Live, Standing};
use bwp_sync::plan::outcome::Status;
use bwp_sync::plan::rank::EventNo;
use bwp_sync::plan::step::Mutation;
use bwp_sync::plan::{Lane, Next, Rules};
use bwp_sync::prime::documents::Operation;
use bwp_sync::prime::exchange::Exchange;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// As in the loop: how often it looks where nobody wakes it, how many lanes one claim takes, how often standings are shared.
const POLL: i64 = 100;
const MOST_AT_ONCE: usize = 64;
const STANDINGS: i64 = 400;

/// How long a call takes that is answered, one that finds nobody, and a settle.
pub const ANSWER: i64 = 100;
const NOBODY: i64 = 2;
const SETTLE: i64 = 5;

/// `retry.max`
pub const LONGEST_WAIT: i64 = 300_000;

pub struct Fleet {
    pub now: i64,
    pub prime: Prime,
    pub calls: Vec<Call>,
    pub ended: BTreeMap<(usize, EventNo), End>,
    rules: Rules,
    gate_rules: GateRules,
    schedule: Schedule,
    replicas: Vec<Replica>,
    lanes: BTreeMap<usize, Held>,
    due: BTreeSet<(i64, usize)>,
    agenda: BTreeMap<(i64, u64), Job>,
    jobs: u64,
    shared: Shared,
    began: Instant,
}

/// A call that went over the wire: also one for a token.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub replica: usize,
    pub at: i64,
}

/// How an event ended.
#[derive(Debug, Clone)]
pub struct End {
    pub status: Status,
    pub said: String,
    pub attempts: u32,
    pub at: i64,
}

struct Replica {
    gate: Gate,
    open_for: TimeDelta,
    told: bool,
    token: Token,
}

/// Token requests that failed: none is made before `closed`.
#[derive(Default)]
struct Token {
    closed: i64,
    failures: u32,
    asking: Option<i64>,
}

/// The row of the target that all replicas share.
#[derive(Default)]
struct Shared {
    open_since: Option<i64>,
    open_for: i64,
    not_before: i64,
}

#[derive(Default)]
struct Held {
    lane: Lane,
    next_at: Option<i64>,
    is_leased: bool,
    taken: EventNo,
    /// A mutation of which it is not known whether it was applied: nothing may be sent before a read.
    is_unknown: bool,
}

enum Job {
    Poll(usize),
    Share(usize),
    Arrive(usize, &'static str, Value),
    End { replica: usize, lane: usize, next: Box<Next>, exchange: Box<Exchange>, began: i64 },
    Free { replica: usize, lane: usize, until: Option<i64> },
}

impl Fleet {
    pub fn new(rules: Rules, gate_rules: GateRules, prime: Prime) -> Fleet {
        let began = Instant::now();
        let replica =
            || Replica { gate: Gate::new(gate_rules, began), open_for: TimeDelta::zero(), told: false, token: Token::default() };
        let schedule = Schedule { initial: Duration::from_secs(1), max: Duration::from_millis(LONGEST_WAIT.unsigned_abs()) };
        let replicas = vec![replica(), replica()];
        let mut fleet = Fleet {
            now: 0,
            prime,
            calls: Vec::new(),
            ended: BTreeMap::new(),
            rules,
            gate_rules,
            schedule,
            replicas,
            lanes: BTreeMap::new(),
            due: BTreeSet::new(),
            agenda: BTreeMap::new(),
            jobs: 0,
            shared: Shared::default(),
            began,
        };
        for replica in 0..fleet.replicas.len() {
            fleet.plan(37 * replica as i64, Job::Poll(replica));
            fleet.plan(53 * replica as i64, Job::Share(replica));
        }
        fleet
    }

    pub fn arrive(&mut self, at: i64, lane: usize, kind: &'static str, data: Value) {
        self.plan(at, Job::Arrive(lane, kind, data));
    }

    /// Plays until a moment, or until nothing is left to do.
    pub fn run(&mut self, until: i64) {
        while let Some(((at, _), job)) = self.agenda.pop_first() {
            self.now = at;
            if at >= until || (at > self.prime.outage.to && self.is_drained()) {
                return;
            }
            self.take(job);
        }
    }

    pub fn is_drained(&self) -> bool {
        self.lanes.values().all(|held| held.lane.events.is_empty())
    }

    fn plan(&mut self, at: i64, job: Job) {
        self.jobs += 1;
        self.agenda.insert((at.max(self.now), self.jobs), job);
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Poll(replica) => {
                self.claim(replica);
                self.plan(self.now + POLL, Job::Poll(replica));
            }
            Job::Share(replica) => {
                self.share(replica);
                self.plan(self.now + STANDINGS, Job::Share(replica));
            }
            Job::Arrive(lane, kind, data) => self.take_in(lane, kind, data),
            Job::End { replica, lane, next, exchange, began } => self.end(replica, lane, &next, &exchange, began),
            Job::Free { replica, lane, until } => {
                let held = self.lanes.get_mut(&lane).unwrap();
                (held.is_leased, held.next_at) = (false, until);
                self.due.extend(until.map(|at| (at, lane)));
                if until.is_some_and(|at| at <= self.now) {
                    self.claim(replica);
                }
            }
        }
    }

    fn take_in(&mut self, lane: usize, kind: &'static str, mut data: Value) {
        data["order"] = json!({"id": format!("O-{lane}")});
        let (now, types) = (self.clock(), self.rules.alias_types.clone());
        let held = self.lanes.entry(lane).or_default();
        held.taken += 1;
        let event = json!({"specversion": "1.0", "source": "/oms", "id": format!("{lane}-{}", held.taken), "type": format!("oms.{kind}.v1"),
            "time": now.to_rfc3339(), "data": data});
        let Reading::Event(event) = event::read_structured(event.to_string().as_bytes()) else { panic!("{event}") };
        held.lane.events.insert(held.taken, Live::new(held.taken, *event, &types));
        if !held.is_leased {
            self.due.extend(std::iter::once((self.now, lane)));
            if let Some(before) = held.next_at.replace(self.now).filter(|before| *before != self.now) {
                self.due.remove(&(before, lane));
            }
        }
    }

    /// As the loop does: what the gate and the slots allow, the lanes that have been due the longest first.
    fn claim(&mut self, replica: usize) {
        loop {
            let instant = self.instant();
            let gate = &mut self.replicas[replica].gate;
            let slots = self.gate_rules.max_in_flight - gate.in_flight();
            let limit = gate.room(instant).min(slots).min(MOST_AT_ONCE);
            let lanes: Vec<(i64, usize)> = self.due.range(..(self.now + 1, 0)).take(limit).copied().collect();
            for (at, lane) in &lanes {
                self.due.remove(&(*at, *lane));
                self.work(replica, *lane);
            }
            if limit == 0 || lanes.len() < limit {
                return;
            }
        }
    }

    fn work(&mut self, replica: usize, lane: usize) {
        let (now, rules) = (self.clock(), self.rules_of(replica));
        let next = self.turn(lane, &rules);
        let rests = match &next {
            Next::Rest { until } => until.map(|at| self.since(at)),
            _ => None,
        };
        self.due.extend(rests.map(|at| (at, lane)));
        let held = self.lanes.get_mut(&lane).unwrap();
        held.next_at = rests;
        match &next {
            Next::Rest { .. } => return,
            Next::Send(draft) => {
                assert!(!held.is_unknown, "lane {lane}: sent before a read has told what became of the last mutation");
                held.lane.begin(draft, now + rules.request_timeout);
            }
            Next::Read { .. } => {}
        }
        held.is_leased = true;
        let instant = self.instant();
        let gate = &mut self.replicas[replica].gate;
        gate.admit();
        assert!(gate.begin(instant));
        let (exchange, took) = self.call(replica, lane, &next);
        let job = Job::End { replica, lane, next: Box::new(next), exchange: Box::new(exchange), began: self.now };
        self.plan(self.now + took, job);
    }

    /// A call, and how long it takes.
    fn call(&mut self, replica: usize, lane: usize, next: &Next) -> (Exchange, i64) {
        if let Some(Fault::Token(status)) = self.prime.fault(self.now) {
            return self.ask_for_token(replica, status);
        }
        self.replicas[replica].token = Token::default();
        self.calls.push(Call { replica, at: self.now });
        let input = match next {
            Next::Send(draft) => Some(parsed(&draft.variables)["input"].clone()),
            _ => None,
        };
        let exchange = self.prime.call(lane, input.as_ref(), self.now);
        let took = match &exchange {
            Exchange::NotSent { .. } => NOBODY,
            Exchange::NoAnswer { .. } => self.rules.request_timeout.num_milliseconds(),
            Exchange::Answered { .. } => ANSWER,
        };
        (exchange, took)
    }

    /// One request at a time; after a failure none before a delay that grows from 1 s to 60 s.
    fn ask_for_token(&mut self, replica: usize, status: u16) -> (Exchange, i64) {
        let (now, clock) = (self.now, self.clock());
        let token = &mut self.replicas[replica].token;
        if let Some(end) = token.asking.filter(|end| *end > now) {
            return (no_token(status, None), end - now);
        }
        if token.closed > now {
            return (no_token(status, Some(clock + TimeDelta::milliseconds(token.closed - now))), NOBODY);
        }
        token.asking = Some(now + ANSWER);
        token.closed = now + ANSWER + (1000 << token.failures.min(6)).min(60_000);
        token.failures += 1;
        self.calls.push(Call { replica, at: now });
        (no_token(status, None), ANSWER)
    }

    /// As the loop does with an answer: judged, told to the gate, taken into the lane, settled.
    fn end(&mut self, replica: usize, lane: usize, next: &Next, exchange: &Exchange, began: i64) {
        let (now, instant, rules) = (self.clock(), self.instant(), self.rules_of(replica));
        let operation = match next {
            Next::Send(draft) if draft.mutation == Mutation::UpdatePackages => Operation::UpdatePackages,
            Next::Send(_) => Operation::UpdateOrder,
            _ => Operation::ReadOrder,
        };
        let judgement = judge(operation, exchange, &Overrides::new());
        let began = self.at(began);
        let moment = Moment { rules: &rules, schedule: self.schedule, began, now, jitter: fastrand::f64() };
        let gate = &mut self.replicas[replica].gate;
        gate.end(lane as i64, apply::sign(exchange, &judgement), instant);
        if let Some(until) = apply::floor(&judgement, &moment) {
            gate.hold(instant + (until - now).to_std().unwrap_or_default());
            self.shared.not_before = self.shared.not_before.max(self.since(until));
        }
        let held = self.lanes.get_mut(&lane).unwrap();
        match next {
            Next::Send(_) => held.is_unknown = is_open(exchange, &judgement),
            _ if matches!(exchange, Exchange::Answered { status: 200, .. }) => held.is_unknown = false,
            _ => {}
        }
        apply::apply(&mut held.lane, next, exchange, &judgement, &moment);
        let until = match self.turn(lane, &rules) {
            Next::Send(_) | Next::Read { .. } => Some(self.now + SETTLE),
            Next::Rest { until } => until.map(|at| self.since(at).max(self.now + SETTLE)),
        };
        self.plan(self.now + SETTLE, Job::Free { replica, lane, until });
    }

    fn turn(&mut self, lane: usize, rules: &Rules) -> Next {
        let (now, at) = (self.clock(), self.now);
        let held = self.lanes.get_mut(&lane).unwrap();
        let turn = held.lane.turn(rules, now);
        for settled in turn.settled {
            let said = settled.reason.as_ref().map_or_else(String::new, |reason| format!("{} {}", reason.code, reason.message));
            let end = End { status: settled.status, said, attempts: settled.live.progress.attempts, at };
            assert!(self.ended.insert((lane, settled.no), end).is_none(), "{lane} {} ends twice", settled.no);
            held.lane.events.retain(|no, live| *no != settled.no || live.is_ghost);
        }
        for (no, standing) in turn.standings {
            let live = held.lane.events.get_mut(&no).unwrap();
            live.waiting_since = matches!(standing, Standing::Waiting(_)).then(|| live.waiting_since.unwrap_or(turn.charged));
        }
        turn.next
    }

    /// As every replica does each moment: what its breaker does is told, what all know is learned.
    fn share(&mut self, replica: usize) {
        let (now, instant) = (self.now, self.instant());
        let (replica, shared) = (&mut self.replicas[replica], &mut self.shared);
        let is_open = replica.gate.is_open();
        if is_open != replica.told {
            replica.told = is_open;
            if is_open {
                shared.open_since.get_or_insert(now);
            } else if let Some(since) = shared.open_since.take() {
                shared.open_for += now - since;
            }
        }
        let open_for = shared.open_for + shared.open_since.map_or(0, |since| now - since);
        replica.open_for = TimeDelta::milliseconds(open_for);
        if shared.not_before > now {
            replica.gate.hold(instant + Duration::from_millis((shared.not_before - now).unsigned_abs()));
        }
    }

    fn rules_of(&self, replica: usize) -> Rules {
        Rules { open_for: self.replicas[replica].open_for, ..self.rules.clone() }
    }

    fn clock(&self) -> DateTime<Utc> {
        self.at(self.now)
    }

    fn at(&self, moment: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_760_000_000_000 + moment).unwrap()
    }

    fn since(&self, at: DateTime<Utc>) -> i64 {
        (at - self.at(0)).num_milliseconds()
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.now.unsigned_abs())
    }
}
