//! The scenarios, and what is to be reached in each.

use crate::growth;
use crate::measures::Measures;
use crate::report::{self, Report};
use crate::run;
use crate::servers::Servers;
use crate::stage::Setup;
use bwp_simulator::{Answer, Body, Rule, When};

const SYSTEM: &str = "bwp-sync";
const BY_HAND: &str = "by hand";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    S1,
    S0,
    S2,
    S4,
    S5,
    Hot,
    Paced,
    Intake,
    Joined,
    Start,
    Replicas,
    Drain,
    Outage,
    Settled,
    Growth,
}

/// What belongs to `make bench-long` only.
const LONG: [Scenario; 3] = [Scenario::Outage, Scenario::Settled, Scenario::Growth];

const ALL: [(&str, Scenario); 15] = [
    ("s1", Scenario::S1),
    ("s0", Scenario::S0),
    ("s2", Scenario::S2),
    ("s4", Scenario::S4),
    ("s5", Scenario::S5),
    ("hot", Scenario::Hot),
    ("paced", Scenario::Paced),
    ("intake", Scenario::Intake),
    ("joined", Scenario::Joined),
    ("start", Scenario::Start),
    ("replicas", Scenario::Replicas),
    ("drain", Scenario::Drain),
    ("outage", Scenario::Outage),
    ("settled", Scenario::Settled),
    ("growth", Scenario::Growth),
];

/// All names.
pub fn names() -> String {
    ALL.map(|(name, _)| name).join(" ")
}

/// Those of these names, all that are not long where there is none; the name that is unknown.
pub fn chosen(names: &[String]) -> Result<Vec<Scenario>, &String> {
    if names.is_empty() {
        return Ok(ALL.iter().map(|(_, scenario)| *scenario).filter(|it| !LONG.contains(it)).collect());
    }
    let find = |name: &String| ALL.iter().find(|(it, _)| it == name).map(|(_, scenario)| *scenario);
    names.iter().map(|name| find(name).ok_or(name)).collect()
}

/// Plays them, one after another.
pub async fn play(servers: &Servers, scenarios: &[Scenario], profile: bool) -> Report {
    println!("{}", report::heading());
    let rounds = number("ROUNDS", 3);
    let mut play = Play { servers, profile, rounds, report: Report::default(), own_s1: None };
    for scenario in scenarios {
        match scenario {
            Scenario::S1 => play.s1().await,
            Scenario::S0 => play.s0().await,
            Scenario::S2 => play.s2().await,
            Scenario::S4 => play.s4().await,
            Scenario::S5 => play.s5().await,
            Scenario::Hot => play.hot().await,
            Scenario::Paced => play.paced().await,
            Scenario::Intake => play.intake().await,
            Scenario::Joined => play.joined().await,
            Scenario::Start => play.start().await,
            Scenario::Replicas => play.replicas().await,
            Scenario::Drain => play.drain().await,
            Scenario::Outage => play.outage().await,
            Scenario::Settled => play.settled().await,
            Scenario::Growth => play.growth().await,
        }
    }
    play.report
}

struct Play<'a> {
    servers: &'a Servers,
    profile: bool,
    /// How often S1 is played: what counts is the one in the middle.
    rounds: usize,
    report: Report,
    /// The daemon's own S1, that others are compared with.
    own_s1: Option<Measures>,
}

/// A number that a variable of the environment may change.
fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |it| it.parse().expect("a number"))
}

fn a_mutation() -> When {
    When { operation: Some("updateOrder".to_owned()), ..When::default() }
}

/// What the service answers when it is ill: the order is not changed.
fn unavailable(when: When) -> Rule {
    let answer = Answer::Status { status: 503, body: Body::Json, retry_after: None };
    Rule { when, answer, ..Rule::default() }
}

impl Play<'_> {
    async fn daemon(&mut self, name: &str, setup: Setup) -> Measures {
        let measures = run::daemon(self.servers, Setup { profile: self.profile, ..setup }).await;
        self.report.row(name, SYSTEM, measures.clone());
        if self.profile {
            report::profile(&measures);
        }
        measures
    }

    async fn by_hand(&mut self, name: &str, setup: Setup) -> Measures {
        let measures = run::by_hand(self.servers, setup).await;
        self.report.row(name, BY_HAND, measures.clone());
        measures
    }

    /// Events a second, as a share of the daemon's own S1.
    async fn of_s1(&mut self, rate: f64) -> f64 {
        let own = match self.own_s1.take() {
            Some(own) => own,
            None => self.daemon("S1 20 ms", Setup::default()).await,
        };
        rate / self.own_s1.insert(own).middle_rate
    }

    /// The same by processor time, which other work on the machine hardly changes.
    fn used_of_s1(&mut self, name: &str, own: &Measures) {
        if let Some(s1) = &self.own_s1 {
            self.report.told(name, s1.all_cpu_us() / own.all_cpu_us());
        }
    }

    async fn s1(&mut self) {
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let by_hand = self.by_hand("S1 20 ms", Setup::default()).await;
            rounds.push((by_hand, self.daemon("S1 20 ms", Setup::default()).await));
        }
        rounds.sort_by(|(a, b), (c, d)| (b.middle_rate / a.middle_rate).total_cmp(&(d.middle_rate / c.middle_rate)));
        let (by_hand, own) = rounds.swap_remove(self.rounds / 2);
        self.own_s1 = Some(own.clone());
        self.report.at_least("S1: share of the consumer by hand", own.middle_rate / by_hand.middle_rate, 0.27, 0.45);
        self.report.told("S1: the same by processor time", by_hand.cpu_us / own.all_cpu_us());
        self.report.at_most("S1: CPU of an event, daemon and Postgres, us", own.all_cpu_us(), 160.0, 100.0);
        self.report.at_most("S1: memory of the daemon, MiB", own.peak_memory_mib, 96.0, 48.0);
    }

    async fn s0(&mut self) {
        let setup = || Setup { latency_ms: 0, ..Setup::default() };
        let by_hand = self.by_hand("S0 no latency", setup()).await;
        let own = self.daemon("S0 no latency", setup()).await;
        self.report.at_least("S0: share of the consumer by hand", own.middle_rate / by_hand.middle_rate, 0.15, 0.26);
        self.report.told("S0: the same by processor time", by_hand.cpu_us / own.all_cpu_us());
    }

    async fn s2(&mut self) {
        let in_flight = number("IN_FLIGHT", 512);
        let setup = Setup { latency_ms: 200, in_flight, ..Setup::default() };
        let possible = in_flight as f64 / 0.2;
        let own = self.daemon("S2 200 ms", setup).await;
        self.report.at_least("S2: share of in flight / latency", own.middle_rate / possible, 0.95, 0.97);
    }

    async fn s4(&mut self) {
        let rules = vec![unavailable(When { probability: Some(0.01), ..a_mutation() })];
        let own = self.daemon("S4 1 % answered 503", Setup { rules, ..Setup::default() }).await;
        let share = self.of_s1(own.middle_rate).await;
        self.report.at_least("S4: share of own S1", share, 0.7, 0.9);
        self.used_of_s1("S4: the same by processor time", &own);
    }

    async fn s5(&mut self) {
        let rules = vec![unavailable(When { order: Some("B-00000".to_owned()), ..a_mutation() })];
        let setup = Setup { rules, ..Setup::default() };
        let failing = setup.events / setup.orders;
        let own = self.daemon("S5 one order always fails", Setup { failing, ..setup }).await;
        let share = self.of_s1(own.middle_rate).await;
        self.report.at_least("S5: share of own S1", share, 0.95, 0.98);
        self.used_of_s1("S5: the same by processor time", &own);
    }

    async fn hot(&mut self) {
        let alone = self.daemon("5,000 orders with one event", Setup { events: 5_000, orders: 5_000, ..Setup::default() }).await;
        let beside = Setup { events: 7_000, orders: 5_001, hot: 2_000, ..Setup::default() };
        let beside = self.daemon("and one with 2,000", beside).await;
        self.report.at_least("a hot order: others' rate, share of alone", beside.middle_rate / alone.middle_rate, 0.9, 0.95);
    }

    async fn paced(&mut self) {
        let pace = number("PACE", 500);
        let (name, setup) =
            (format!("paced {pace}/s"), || Setup { pace: u32::try_from(pace).ok(), events: 20 * pace, ..Setup::default() });
        self.by_hand(&name, setup()).await;
        let own = self.daemon(&name, setup()).await;
        self.report.at_most("paced: event made to request arrived, p50, ms", own.age_p50_ms.unwrap(), 5.0, 2.0);
        self.report.at_most("paced: event made to request arrived, p99, ms", own.age_p99_ms.unwrap(), 25.0, 12.0);
        self.report.at_most("paced: CPU of an event, daemon and Postgres, us", own.all_cpu_us(), 1200.0, 500.0);
    }

    async fn intake(&mut self) {
        let rate = run::intake(self.servers, Setup { events: 60_000, ..Setup::default() }).await;
        self.report.at_least("intake alone: events made durable a second", rate, 15_000.0, 25_000.0);
    }

    async fn joined(&mut self) {
        let settings = vec![("dispatch.coalesce", "order".to_owned())];
        let setup = Setup { events: 10_000, held: true, settings, ..Setup::default() };
        let own = self.daemon("joined, 5 an order", setup).await;
        self.report.at_most("joined: mutations for each event", own.mutations as f64 / own.events as f64, 0.25, 0.2);
    }

    async fn start(&mut self) {
        let mut times = Vec::new();
        for _ in 0..3 {
            times
                .push(run::first_call(self.servers, Setup { events: 100, orders: 100, latency_ms: 0, ..Setup::default() }).await);
        }
        times.sort_by(f64::total_cmp);
        self.report.at_most("start to the first call, ms, middle of three", times[1], 1000.0, 300.0);
    }

    async fn replicas(&mut self) {
        let own = self.daemon("two replicas, S1", Setup { replicas: 2, ..Setup::default() }).await;
        let share = self.of_s1(own.middle_rate).await;
        self.report.at_least("two replicas: share of one replica's S1", share, 0.9, 1.0);
        self.used_of_s1("two replicas: the same by processor time", &own);
    }

    async fn outage(&mut self) {
        let rules = vec![unavailable(When::default())];
        let setup = Setup { rules, pace: Some(500), events: 60_000, ..Setup::default() };
        let outage = run::outage(self.servers, setup).await;
        self.report.row("two minutes of outage", SYSTEM, outage.measures);
        let own = outage.backlog as f64 / self.of_s1(1.0).await.recip();
        self.report.at_most("outage: time to drain against backlog / own S1 rate", outage.drained / own, 1.3, 1.1);
    }

    async fn settled(&mut self) {
        let count = number("SETTLED", 10_000_000);
        let settled = run::settled(self.servers, Setup::default(), count).await;
        let (empty, full) = (&settled.empty, &settled.full);
        let [before, after] = settled.explained;
        let postgres = full.postgres_cpu_us.unwrap() / empty.postgres_cpu_us.unwrap();
        self.report.row("an empty ledger", SYSTEM, empty.clone());
        self.report.row(&format!("{count} settled"), SYSTEM, full.clone());
        self.report.at_most("settled before: CPU of an event in Postgres, against an empty ledger", postgres, 1.2, 1.05);
        self.report.at_most("settled before: CPU of an event in the daemon, the same", full.cpu_us / empty.cpu_us, 1.2, 1.05);
        self.report.at_most("settled before: an order explained, the same", after / before, 1.2, 1.05);
    }

    async fn growth(&mut self) {
        let only = std::env::var("SERIES").ok();
        for series in growth::series().into_iter().filter(|series| only.as_ref().is_none_or(|only| only == series.name)) {
            let mut measures = Vec::new();
            for (x, setup) in &series.points {
                measures.push(self.daemon(&format!("{} {x}", series.name), setup.clone()).await);
            }
            println!("  {}", growth::draw(&series, &measures).display());
        }
    }

    /// What dispatch alone can do: all is durable before the first call.
    async fn drain(&mut self) {
        self.daemon("S1, all durable before", Setup { held: true, ..Setup::default() }).await;
    }
}
