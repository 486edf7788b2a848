//! The simulator's fault script: everything that it can do wrong, all at once, each kind at least once.

use bwp_simulator::{Answer, Apply, Body, Fired, RetryAfter, Rule, Script, When};
use std::collections::BTreeMap;

/// Less than what a late request may still take, and a package still be on its way.
const LATE: Apply = Apply::LateMs(250);
/// Within `dispatch.request_timeout`, and beyond it.
const SLOW_MS: u64 = 500;
const TOO_SLOW_MS: u64 = 1_300;

/// Rules that are off until an act switches them on; they go before all others.
pub const AWAY: [&str; 2] = ["away: everything is reset", "away: everything is a 503"];
pub const NO_TOKEN: [&str; 4] = ["no token: 400", "no token: 503", "no token: reset", "no token: no answer"];

const MUTATIONS: [&str; 2] = ["updateOrder", "updateOrderPackageInformation"];
const READ: &str = "order";

/// All of it.
pub fn script(seed: u64) -> Script {
    let mut script = Builder { dice: fastrand::Rng::with_seed(seed), rules: Vec::new() };
    script.switched();
    script.retry_after();
    for operation in MUTATIONS {
        script.mutation(operation);
    }
    script.reads();
    Script { rules: script.rules, seed }
}

/// How often each kind of fault came into play.
pub fn fired(counts: &[Fired]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for count in counts {
        *all.entry(count.rule.name.clone().unwrap_or_default()).or_default() += count.fired;
    }
    all
}

struct Builder {
    dice: fastrand::Rng,
    rules: Vec<Rule>,
}

fn status(status: u16, body: Body) -> Answer {
    Answer::Status { status, body, retry_after: None }
}

fn error(kind: &str) -> Answer {
    Answer::Errors { kind: kind.to_owned(), code: None, retry_after: None }
}

fn beside(kind: &str) -> Answer {
    Answer::Beside { kind: kind.to_owned(), code: None }
}

impl Builder {
    /// One kind: once for sure among the first requests, and then by the dice.
    fn kind(&mut self, operation: &str, what: &str, share: f64, apply: Option<Apply>, answer: Answer) {
        self.slow_kind(operation, what, share, 0, apply, answer);
    }

    fn slow_kind(&mut self, operation: &str, what: &str, share: f64, latency_ms: u64, apply: Option<Apply>, answer: Answer) {
        // Early enough for the shortest run, and not all at once: then nothing would go through.
        let nth = Some(self.dice.u64(3..if operation == MUTATIONS[1] { 100 } else { 300 }));
        let when = When { operation: Some(operation.to_owned()), ..When::default() };
        let name = Some(format!("{operation}: {what}"));
        let sure = Rule { name, when: When { nth, ..when.clone() }, apply, answer, latency_ms, ..Rule::default() };
        let rule = Rule { when: When { probability: Some(share), ..when }, ..sure.clone() };
        self.rules.extend([sure, rule]);
    }

    fn switched(&mut self) {
        let mut rule = |name: &str, operation: Option<&str>, answer| {
            let when = When { operation: operation.map(str::to_owned), ..When::default() };
            self.rules.push(Rule { name: Some(name.to_owned()), off: true, when, apply: None, answer, ..Rule::default() });
        };
        let answers = [status(400, Body::Json), status(503, Body::Html), Answer::Reset, Answer::Never];
        for (name, answer) in NO_TOKEN.into_iter().zip(answers) {
            rule(name, Some("token"), answer);
        }
        for (name, answer) in AWAY.into_iter().zip([Answer::Reset, status(503, Body::Empty)]) {
            rule(name, None, answer);
        }
    }

    /// Each of these keeps the whole fleet back: few of them.
    fn retry_after(&mut self) {
        const RARE: f64 = 0.0003;
        let (seconds, date) = (Some(RetryAfter::Seconds(2)), Some(RetryAfter::Date(1)));
        let kind = "ThrottlingError".to_owned();
        let order = MUTATIONS[0];
        self.kind(order, "429, Retry-After in seconds", RARE, None, Answer::TooManyRequests { retry_after: seconds });
        self.kind(order, "429, Retry-After as a date", RARE, None, Answer::TooManyRequests { retry_after: date });
        let throttling = Answer::Errors { kind, code: None, retry_after: seconds };
        self.kind(order, "ThrottlingError with Retry-After", RARE, None, throttling);
        let unavailable = Answer::Status { status: 503, body: Body::Json, retry_after: date };
        self.kind(order, "applied, 503 with Retry-After", RARE, Some(Apply::Yes), unavailable);
        self.kind(READ, "429, Retry-After in seconds", RARE, None, Answer::TooManyRequests { retry_after: seconds });
        // Each of these opens the breaker for a moment, or costs a token.
        const FEW: f64 = 0.001;
        self.kind(order, "401", FEW, None, Answer::Unauthorized);
        self.kind(READ, "401", FEW, None, Answer::Unauthorized);
        self.kind(order, "403", FEW, None, status(403, Body::Json));
        self.kind(order, "AccessDeniedError", FEW, None, error("AccessDeniedError"));
        self.kind(order, "404 with a page", FEW, None, status(404, Body::Html));
    }

    fn mutation(&mut self, operation: &str) {
        let (yes, no) = (Some(Apply::Yes), Some(Apply::No));
        self.kind(operation, "applied, and reset", 0.05, yes, Answer::Reset);
        self.kind(operation, "not applied, and reset", 0.02, no, Answer::Reset);
        self.kind(operation, "reset, and applied later", 0.01, Some(LATE), Answer::Reset);
        self.kind(operation, "applied, and no answer", 0.005, yes, Answer::Never);
        self.kind(operation, "not applied, and no answer", 0.003, no, Answer::Never);
        self.kind(operation, "no answer, and applied later", 0.005, Some(LATE), Answer::Never);
        self.kind(operation, "applied, 503", 0.01, yes, status(503, Body::Html));
        self.kind(operation, "not applied, 503", 0.01, no, status(503, Body::Empty));
        self.kind(operation, "applied, 500", 0.005, yes, status(500, Body::Json));
        self.kind(operation, "504, and applied later", 0.003, Some(LATE), status(504, Body::Html));
        self.kind(operation, "408", 0.002, no, status(408, Body::Empty));
        self.kind(operation, "applied, InternalServerError", 0.01, yes, error("InternalServerError"));
        self.kind(operation, "not applied, InternalServerError", 0.005, no, error("InternalServerError"));
        self.kind(operation, "applied, an error that nobody lists", 0.003, yes, error("SomethingElse"));
        self.kind(operation, "applied, data beside errors", 0.005, None, beside("InternalServerError"));
        self.kind(operation, "not applied, data beside errors", 0.003, no, beside("ThrottlingError"));
        self.kind(operation, "applied, 200 with a page", 0.005, yes, Answer::Html);
        self.kind(operation, "not applied, 200 with a page", 0.003, no, Answer::Html);
        self.kind(operation, "applied, null data", 0.005, yes, Answer::NullData);
        self.kind(operation, "not applied, null data", 0.003, no, Answer::NullData);
        self.kind(operation, "429", 0.003, None, Answer::TooManyRequests { retry_after: None });
        self.kind(operation, "ThrottlingError", 0.005, None, error("ThrottlingError"));
        self.kind(operation, "ConflictException", 0.005, None, error("ConflictException"));
        self.slow_kind(operation, "slow", 0.01, SLOW_MS, None, Answer::Normal);
        self.slow_kind(operation, "too slow", 0.003, TOO_SLOW_MS, None, Answer::Normal);
    }

    fn reads(&mut self) {
        self.kind(READ, "reset", 0.02, None, Answer::Reset);
        self.kind(READ, "no answer", 0.002, None, Answer::Never);
        self.kind(READ, "503", 0.01, None, status(503, Body::Html));
        self.kind(READ, "InternalServerError", 0.005, None, error("InternalServerError"));
        self.kind(READ, "an error that nobody lists", 0.003, None, error("SomethingElse"));
        self.kind(READ, "data beside errors", 0.003, None, beside("InternalServerError"));
        self.kind(READ, "200 with a page", 0.005, None, Answer::Html);
        self.kind(READ, "null data", 0.003, None, Answer::NullData);
        self.kind(READ, "429", 0.002, None, Answer::TooManyRequests { retry_after: None });
        self.kind(READ, "ThrottlingError", 0.003, None, error("ThrottlingError"));
        self.slow_kind(READ, "slow", 0.01, SLOW_MS, None, Answer::Normal);
        self.slow_kind(READ, "too slow", 0.003, TOO_SLOW_MS, None, Answer::Normal);
    }
}
