//! Whether a target may be called: its breaker, its `Retry-After`, its rate and its adaptive limit, as one gate.
//!
//! An order that is worked on goes round: [`Gate::admit`], [`Gate::begin`], [`Gate::end`], and where it goes on at once, [`Gate::rest`]
//! while what came of it is written, and [`Gate::resume`]. Pure: it is told what happened and when, and asked what may begin.

use std::time::{Duration, Instant};

/// How a gate behaves: `breaker.*`, `rate.*`, `dispatch.max_in_flight`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateRules {
    /// Failures in a row, of different orders, that open the breaker.
    pub failures: u32,
    /// How long it stays open before one call probes the target.
    pub probe_interval: Duration,
    /// Calls each second of all replicas together, where the target has a limit.
    pub rate: Option<f64>,
    /// Calls that may begin at once under it.
    pub burst: u32,
    /// Calls in flight at the most.
    pub max_in_flight: usize,
}

/// What a call says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answered with sense.
    Up,
    /// It answered without sense, or broke off.
    Failing,
    /// It did not answer in time: it may have more to do than it can.
    Late,
    /// Nobody can call it: no connection, or no token.
    Closed,
    /// Too many calls.
    Throttled,
}

/// The gate of one target.
#[derive(Debug)]
pub struct Gate {
    rules: GateRules,
    breaker: Breaker,
    limit: f64,
    shrunk_at: Option<Instant>,
    stages: Stages,
    tokens: f64,
    filled_at: Instant,
    replicas: f64,
    not_before: Option<Instant>,
    is_paused: bool,
    up_at: Option<Instant>,
}

/// Orders that are worked on, by how far they are.
#[derive(Debug, Default)]
struct Stages {
    waiting: usize,
    in_flight: usize,
    resting: usize,
}

/// How far an order that is worked on is with its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its call has not begun.
    Waiting,
    /// Its call is on its way.
    InFlight,
    /// Its call has ended; once that is written, the next one begins.
    Resting,
}

#[derive(Debug, Clone, PartialEq)]
enum Breaker {
    /// With the orders that have failed in a row: one that fails again and again is its own trouble, not the target's.
    Closed {
        failing: Vec<i64>,
    },
    Open {
        until: Instant,
    },
    Probing,
}

impl Gate {
    /// A closed breaker and the whole limit.
    pub fn new(rules: GateRules, now: Instant) -> Gate {
        Gate {
            rules,
            breaker: Breaker::Closed { failing: Vec::new() },
            limit: rules.max_in_flight as f64,
            shrunk_at: None,
            stages: Stages::default(),
            tokens: f64::from(rules.burst.max(1)),
            filled_at: now,
            replicas: 1.0,
            not_before: None,
            is_paused: false,
            up_at: None,
        }
    }

    /// How many orders may be taken up for a call now. Those that rest take no room where the target takes all that may be called at
    /// once: others are called while they are written. Each that comes back then waits for a call to end, no longer than writing took.
    pub fn room(&mut self, now: Instant) -> usize {
        if self.is_held_back(now) {
            return 0;
        }
        if let Breaker::Open { until } = self.breaker
            && now >= until
        {
            self.breaker = Breaker::Probing;
        }
        let limit = match self.breaker {
            Breaker::Closed { .. } => (self.limit as usize).max(1),
            Breaker::Probing => 1,
            Breaker::Open { .. } => 0,
        };
        let resting = if self.is_wide_open() { 0 } else { self.stages.resting };
        limit.saturating_sub(self.busy() + resting).min(self.refill(now))
    }

    fn is_held_back(&self, now: Instant) -> bool {
        self.is_paused || self.not_before.is_some_and(|at| now < at)
    }

    fn is_wide_open(&self) -> bool {
        matches!(self.breaker, Breaker::Closed { .. }) && self.limit as usize >= self.rules.max_in_flight
    }

    fn refill(&mut self, now: Instant) -> usize {
        let Some(rate) = self.share() else { return usize::MAX };
        let gained = now.duration_since(self.filled_at).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min((f64::from(self.rules.burst) / self.replicas).max(1.0));
        self.filled_at = now;
        self.tokens as usize
    }

    /// This replica's part of the rate: calls each second.
    pub fn share(&self) -> Option<f64> {
        self.rules.rate.map(|rate| rate / self.replicas)
    }

    /// So many replicas share the rate, this one among them. What was gained before counts by the old share.
    pub fn share_among(&mut self, replicas: usize, now: Instant) {
        self.refill(now);
        self.replicas = replicas.max(1) as f64;
    }

    /// An order is taken up for a call.
    pub fn admit(&mut self) {
        self.stages.waiting += 1;
        self.spend();
    }

    fn spend(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// The call of an order that waits begins, unless the target may not be called any more.
    pub fn begin(&mut self, now: Instant) -> bool {
        let may = match self.breaker {
            Breaker::Closed { .. } => true,
            Breaker::Probing => self.stages.in_flight == 0,
            Breaker::Open { .. } => false,
        } && !self.is_held_back(now);
        if may {
            self.leave(Stage::Waiting);
            self.stages.in_flight += 1;
        }
        may
    }

    /// A call for an order ended, and says this of its target.
    pub fn end(&mut self, order: i64, sign: Sign, now: Instant) {
        self.leave(Stage::InFlight);
        let open = Breaker::Open { until: now + self.rules.probe_interval };
        let before = std::mem::replace(&mut self.breaker, Breaker::Probing);
        self.breaker = match (before, sign) {
            (Breaker::Open { until }, _) => Breaker::Open { until },
            (_, Sign::Up | Sign::Throttled) => Breaker::Closed { failing: Vec::new() },
            (_, Sign::Closed) | (Breaker::Probing, Sign::Failing | Sign::Late) => open,
            (Breaker::Closed { mut failing }, Sign::Failing | Sign::Late) => {
                if !failing.contains(&order) {
                    failing.push(order);
                }
                if failing.len() >= self.rules.failures as usize { open } else { Breaker::Closed { failing } }
            }
        };
        if matches!(sign, Sign::Up | Sign::Throttled) {
            self.up_at = Some(now);
        }
        match sign {
            // Additive up, multiplicative down (RFC 5681), and down at most once for the calls of one round trip.
            Sign::Up => self.limit = (self.limit + 1.0 / self.limit.max(1.0)).min(self.rules.max_in_flight as f64),
            Sign::Throttled | Sign::Late
                if self.shrunk_at.is_none_or(|at| now.duration_since(at) > Duration::from_millis(100)) =>
            {
                self.limit = (self.limit * 0.7).max(1.0);
                self.shrunk_at = Some(now);
            }
            _ => {}
        }
    }

    /// Whether an order whose call has ended may go on with the next once this one is written: then it rests until it does.
    pub fn rest(&mut self, now: Instant) -> bool {
        let may = if self.is_wide_open() { !self.is_held_back(now) && self.refill(now) > 0 } else { self.room(now) > 0 };
        if may {
            self.stages.resting += 1;
            self.spend();
        }
        may
    }

    /// An order that rested waits for its next call.
    pub fn resume(&mut self) {
        self.leave(Stage::Resting);
        self.stages.waiting += 1;
    }

    /// An order is not worked on any more, and nothing is said of the target.
    pub fn leave(&mut self, stage: Stage) {
        let count = match stage {
            Stage::Waiting => &mut self.stages.waiting,
            Stage::InFlight => &mut self.stages.in_flight,
            Stage::Resting => &mut self.stages.resting,
        };
        *count = count.saturating_sub(1);
    }

    /// The target asked not to be called before this.
    pub fn hold(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }

    /// For how long it is still left alone, because it asked for that.
    pub fn held_for(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// An operator has stopped the target, or lets it go on: calls on their way are finished, none begins.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether the target has answered with sense since that moment.
    pub fn was_up_since(&self, moment: Instant) -> bool {
        self.up_at.is_some_and(|at| at >= moment)
    }

    /// Whether the breaker keeps calls away, all but the probe that may be on its way: it closes only by an answer with sense.
    pub fn is_open(&self) -> bool {
        !matches!(self.breaker, Breaker::Closed { .. })
    }

    /// The adaptive limit, as it is now.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Calls on their way.
    pub fn in_flight(&self) -> usize {
        self.stages.in_flight
    }

    /// Calls on their way, and orders that wait for theirs.
    pub fn busy(&self) -> usize {
        self.stages.waiting + self.stages.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(rate: Option<f64>) -> (Gate, Instant) {
        let now = Instant::now();
        let rules = GateRules { failures: 3, probe_interval: Duration::from_secs(5), rate, burst: 2, max_in_flight: 10 };
        (Gate::new(rules, now), now)
    }

    fn begin(gate: &mut Gate, now: Instant) {
        gate.admit();
        assert!(gate.begin(now));
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_at_a_time_closes_it() {
        let (mut gate, now) = gate(None);
        for (order, sign) in
            [(1, Sign::Failing), (2, Sign::Failing), (3, Sign::Up), (1, Sign::Failing), (2, Sign::Failing), (2, Sign::Failing)]
        {
            begin(&mut gate, now);
            gate.end(order, sign, now);
        }
        assert!(gate.room(now) > 0, "an answer with sense starts the count again, and an order counts once");
        begin(&mut gate, now);
        gate.end(3, Sign::Failing, now);
        assert_eq!((gate.room(now), gate.is_open()), (0, true));
        let later = now + Duration::from_secs(5);
        assert_eq!(gate.room(later), 1);
        begin(&mut gate, now);
        assert_eq!(gate.room(later), 0, "one probe at a time");
        gate.end(1, Sign::Failing, later);
        assert_eq!(gate.room(later + Duration::from_secs(4)), 0);
        let again = later + Duration::from_secs(5);
        assert_eq!(gate.room(again), 1);
        begin(&mut gate, now);
        gate.end(1, Sign::Up, again);
        assert!(gate.room(again) > 1);
    }

    #[test]
    fn a_call_that_began_before_does_not_close_an_open_breaker() {
        let (mut gate, now) = gate(None);
        begin(&mut gate, now);
        begin(&mut gate, now);
        gate.end(1, Sign::Closed, now);
        gate.end(1, Sign::Up, now);
        assert!(gate.is_open());
    }

    #[test]
    fn throttling_shrinks_the_limit_once_a_round_trip_and_answers_grow_it() {
        let (mut gate, now) = gate(None);
        for _ in 0..5 {
            begin(&mut gate, now);
            gate.end(1, Sign::Throttled, now);
        }
        assert_eq!(gate.limit(), 7);
        begin(&mut gate, now);
        gate.end(1, Sign::Late, now + Duration::from_millis(200));
        assert_eq!(gate.limit(), 4, "a target that does not answer in time is given less to do, too");
        for _ in 0..200 {
            begin(&mut gate, now);
            gate.end(1, Sign::Up, now);
        }
        assert_eq!(gate.limit(), 10);
    }

    #[test]
    fn a_rate_and_a_retry_after_hold_calls_back() {
        let (mut gate, now) = gate(Some(10.0));
        assert_eq!(gate.room(now), 2);
        begin(&mut gate, now);
        begin(&mut gate, now);
        assert_eq!(gate.room(now), 0);
        assert_eq!(gate.room(now + Duration::from_millis(100)), 1);
        gate.hold(now + Duration::from_secs(3));
        assert_eq!(gate.held_for(now + Duration::from_secs(1)), Duration::from_secs(2));
        assert_eq!(gate.held_for(now + Duration::from_secs(4)), Duration::ZERO);
        assert_eq!(gate.room(now + Duration::from_secs(2)), 0);
        assert_eq!(gate.room(now + Duration::from_secs(3)), 2);
    }

    #[test]
    fn while_it_is_paused_no_call_begins_and_an_open_breaker_does_not_probe() {
        let (mut gate, now) = gate(None);
        begin(&mut gate, now);
        gate.pause(true);
        assert_eq!(gate.room(now), 0);
        gate.end(1, Sign::Closed, now);
        let later = now + Duration::from_secs(5);
        assert_eq!(gate.room(later), 0);
        gate.pause(false);
        assert_eq!(gate.room(later), 1, "the probe that is due");
    }

    #[test]
    fn replicas_share_a_rate_in_equal_parts() {
        let (mut gate, now) = gate(Some(10.0));
        gate.share_among(4, now);
        assert_eq!(gate.share(), Some(2.5));
        for _ in 0..2 {
            begin(&mut gate, now);
        }
        assert_eq!(gate.room(now + Duration::from_millis(399)), 0);
        assert_eq!(gate.room(now + Duration::from_millis(400)), 1);
        assert_eq!(gate.room(now + Duration::from_secs(60)), 1, "the burst is shared, too, but one call is always possible");
        gate.share_among(1, now + Duration::from_secs(60));
        assert_eq!(gate.room(now + Duration::from_secs(61)), 2);
    }
}
