//! One run, from the seed to the verdict.

use crate::feed::Feed;
use crate::fleet::{Absence, DOZED_BEYOND_MS, FROZEN_BEYOND_MS, Fleet, GRACE, REQUEST_TIMEOUT};
use crate::merchant::{Purchase, purchase};
use crate::plan::{Act, Deck, Draw, Form, TO_REPLICAS, TO_SERVERS};
use crate::servers::Server;
use crate::service::{Service, statuses};
use crate::support::{self, PATIENCE};
use crate::table::Table;
use crate::weather::{self, AWAY, NO_TOKEN};
use bwp_simulator::{Finding, Options, Wrong};
use bwp_sync::ledger::Totals;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Without a single new outcome for so long after the storm, something is stuck. How long all of it takes is the machine's affair.
const STUCK: Duration = Duration::from_secs(90);
/// How long an act waits for somebody whom it can hit.
pub const WORK: Duration = Duration::from_secs(5);
/// Whoever was told of a `Retry-After` has so long to tell the others.
const TELLING: Duration = Duration::from_secs(1);

/// The servers, what is known of their absence, and the counts of the acts.
struct Stage<'a> {
    service: &'a Service,
    postgres: &'a Server,
    kafka: &'a Server,
    absences: Mutex<Vec<Absence>>,
    done: Mutex<BTreeMap<&'static str, u64>>,
    over: AtomicBool,
    began: Instant,
    length: Duration,
}

pub async fn pass(form: Form) {
    println!("SEED={} {form:?}", form.seed);
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{}", uuid::Uuid::new_v4().simple()));
    let (postgres, kafka) = (Server::postgres(&home), Server::kafka(&home));
    tokio::join!(postgres.start(), kafka.start());
    support::use_servers(BTreeMap::from([postgres.variable(), kafka.variable()]));
    // Whoever is cut off is let go before its lease ends, as a gateway would.
    let options = Options {
        latency: Duration::from_millis(100),
        gateway_limit: REQUEST_TIMEOUT * 5 / 2,
        request_log: 50_000,
        ..Options::default()
    };
    let service = Service::open(6, options).await;
    let purchases: Vec<Purchase> = (0..form.orders).map(purchase).collect();
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    service.simulator.faults().set(weather::script(form.seed));
    let feed = Feed::new(form.seed, &purchases, form.length);
    let stage = Stage {
        service: &service,
        postgres: &postgres,
        kafka: &kafka,
        absences: Mutex::default(),
        done: Mutex::default(),
        over: AtomicBool::new(false),
        began: Instant::now(),
        length: form.length,
    };
    let mut fleet = Fleet::start(service.builder.clone(), form.replicas);
    fleet.wait_ready().await;
    let watch = stage.watch();
    let storm = async {
        service.totals("work to be done", PATIENCE, |totals| totals.finals > 0).await;
        tokio::join!(stage.to_replicas(&mut fleet, form.seed), stage.to_servers(form.seed.wrapping_add(1)));
        stage.over.store(true, Ordering::Relaxed);
        stage.says("the storm is over");
    };
    let work = async {
        tokio::join!(storm, feed.flow(&service.topics, &stage.over));
        stage.says("all events are written");
        stage.drained(feed.count() as i64).await;
    };
    tokio::select! {
        () = work => {}
        () = watch => {}
    }
    stage.says("nothing is left to be done");
    let codes = fleet.end_all().await;
    stage.says("all replicas have ended");

    let table = stage.table(&fleet);
    table.print();
    stage.assert_outcomes(&purchases, feed.count()).await;
    for purchase in &purchases {
        service.assert_holds(purchase).await;
    }
    stage.assert_judged(&fleet).await;
    assert!(codes.iter().all(|code| *code == Some(0)), "{codes:?}");
    table.assert_all_happened();
    stage.says("all is well");
}

impl Stage<'_> {
    fn says(&self, what: &str) {
        println!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// The identity holds all the time; now and then it is said how far things are.
    async fn watch(&self) {
        for round in 0_u64.. {
            if let Ok(totals) = self.service.ledger.totals().await {
                assert_eq!(totals.imbalance(), 0, "{totals:?}");
                if round.is_multiple_of(20) {
                    let backlog = totals.backlog;
                    self.says(&format!("read {}, final {}, {backlog:?}", totals.read, totals.finals));
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until this many events have an outcome and nothing else is there, as long as outcomes come.
    async fn drained(&self, count: i64) {
        let mut finals = 0;
        while finals < count {
            let is_more = |totals: &Totals| totals.finals > finals && (totals.finals < count || totals.backlog.total() == 0);
            finals = self.service.totals(&format!("more than {finals} of {count} outcomes"), STUCK, is_more).await.finals;
        }
        assert_eq!(finals, count, "more outcomes than events");
    }

    fn goes_on(&self, deck: &Deck) -> bool {
        !deck.is_through() || self.began.elapsed() < self.length
    }

    /// The next act of a hand, after its gap.
    async fn next(&self, deck: &mut Deck) -> Draw {
        let draw = deck.deal();
        tokio::time::sleep(draw.gap).await;
        self.says(draw.act.name());
        draw
    }

    fn count(&self, name: &'static str) {
        *self.done.lock().unwrap().entry(name).or_default() += 1;
    }

    async fn to_replicas(&self, fleet: &mut Fleet, seed: u64) {
        let mut deck = Deck::new(seed, TO_REPLICAS, Duration::from_secs(1));
        while self.goes_on(&deck) {
            let Draw { act, length, choice, .. } = self.next(&mut deck).await;
            let began = Instant::now();
            let ended = match act {
                Act::Kill => {
                    fleet.kill(choice, length).await;
                    None
                }
                Act::Freeze => {
                    fleet.freeze(choice, FROZEN_BEYOND_MS).await;
                    None
                }
                Act::Doze => {
                    fleet.freeze(choice, DOZED_BEYOND_MS).await;
                    None
                }
                Act::Replace => Some(fleet.replace(choice).await),
                _ => Some(fleet.grow(length).await),
            };
            if let Some(code) = ended {
                // What is in flight cannot be settled while the ledger is away.
                let excused = code == Some(1) && self.is_absent(None, began, GRACE);
                assert!(code == Some(0) || excused, "a replica that was told to end said {code:?}");
                if excused {
                    self.count("ends that had to leave something open, since Postgres was away");
                }
            }
            self.count(act.name());
        }
    }

    async fn to_servers(&self, seed: u64) {
        let mut deck = Deck::new(seed, TO_SERVERS, Duration::from_millis(1200));
        while self.goes_on(&deck) {
            let Draw { act, length, choice, .. } = self.next(&mut deck).await;
            let faults = self.service.simulator.faults();
            match act {
                Act::Postgres => {
                    let from = Instant::now();
                    self.postgres.kill();
                    tokio::time::sleep(length).await;
                    self.postgres.start().await;
                    self.absences.lock().unwrap().push(Absence { replica: None, from, until: Instant::now() + TELLING });
                }
                Act::KafkaKilled => {
                    self.kafka.kill();
                    tokio::time::sleep(length).await;
                    self.kafka.start().await;
                }
                Act::KafkaStopped => {
                    self.kafka.stop().await;
                    self.kafka.start().await;
                }
                Act::TokensExpired => self.service.simulator.expire_tokens(),
                Act::NoToken => {
                    let rule = NO_TOKEN[choice % NO_TOKEN.len()];
                    faults.switch(rule, true);
                    self.service.simulator.expire_tokens();
                    self.lasts(rule, length).await;
                }
                Act::Away => {
                    let rule = AWAY[choice % AWAY.len()];
                    faults.switch(rule, true);
                    self.lasts(rule, length * 2).await;
                }
                _ => {
                    self.service.simulator.leave().await;
                    tokio::time::sleep(length).await;
                    self.service.simulator.come_back().await.unwrap();
                }
            }
            self.count(act.name());
        }
    }

    /// A rule that is switched on for a while, and at least until somebody has met it.
    async fn lasts(&self, rule: &str, length: Duration) {
        let faults = self.service.simulator.faults();
        let met = || weather::fired(&faults.counts())[rule];
        let (before, began) = (met(), Instant::now());
        while began.elapsed() < length || (met() == before && began.elapsed() < length + WORK) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        faults.switch(rule, false);
    }

    /// Whether somebody was away within a time after a moment.
    fn is_absent(&self, replica: Option<&str>, at: Instant, within: Duration) -> bool {
        let overlaps = |absence: &Absence| {
            absence.replica.as_deref().is_none_or(|name| Some(name) == replica)
                && absence.from <= at + within
                && at <= absence.until
        };
        self.absences.lock().unwrap().iter().any(overlaps)
    }

    fn table(&self, fleet: &Fleet) -> Table {
        let mut table = Table::default();
        table.title("acts");
        let done = self.done.lock().unwrap();
        for act in TO_REPLICAS.iter().chain(TO_SERVERS) {
            table.fault(act.name(), done.get(act.name()).copied().unwrap_or(0));
        }
        for (name, count) in done.iter().filter(|(name, _)| !TO_REPLICAS.iter().chain(TO_SERVERS).any(|act| act.name() == **name))
        {
            table.note(name, *count);
        }
        table.title("faults of Buy with Prime");
        let fired = weather::fired(&self.service.simulator.faults().counts());
        for (name, rules) in [("requests while it was away", &AWAY[..]), ("token requests that failed", &NO_TOKEN[..])] {
            table.fault(name, rules.iter().map(|rule| fired[*rule]).sum());
        }
        for (name, count) in fired.iter().filter(|(name, _)| !AWAY.contains(&name.as_str()) && !NO_TOKEN.contains(&name.as_str()))
        {
            table.fault(name, *count);
        }
        table.title("seen by the replicas");
        let seen = &fleet.seen;
        table.fault("partitions taken away by rebalances", seen.taken_away);
        table.note("times a replica joined the group", seen.joined);
        table.note("results thrown away, since the lease had gone to another holder", seen.stale_settles);
        table.note("claims that met an outage of Postgres", seen.ledger_away);
        table.note("settles that met one, and were made again", seen.settles_retried);
        table.note("moves of the breaker", seen.breaker_moved);
        let report = self.service.simulator.report();
        table.title("seen by Buy with Prime");
        for (operation, count) in &report.requests {
            table.note(operation, *count);
        }
        table.note("wrong things, as the judge counted", report.violations);
        report.counts.iter().for_each(|(kind, count)| table.note(format!("{kind:?}"), *count));
        table.note("mutations accepted", report.accepted);
        table.note("mutations without a clear answer", report.unclear);
        table
    }

    /// Each event has one outcome, and a good one.
    async fn assert_outcomes(&self, purchases: &[Purchase], count: usize) {
        let outcomes = self.service.outcomes(count).await;
        assert_eq!(outcomes.len(), count);
        let events = purchases.iter().flat_map(|purchase| purchase.events.iter().chain(&purchase.late));
        let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (id, status) in statuses(&outcomes, events) {
            if !good.contains(&status.as_str()) {
                println!("{id}: {:#?}", outcomes[&id]);
            }
            *counts.entry(status).or_default() += 1;
        }
        println!("outcomes: {counts:?}");
        assert!(counts.keys().all(|status| good.contains(&status.as_str())), "{counts:?}");
    }

    /// The judge has found nothing, and the identity holds. Only a `Retry-After` that nobody could pass on is no fault: whoever was
    /// told was killed or frozen, or the ledger was away, before a second had passed.
    async fn assert_judged(&self, fleet: &Fleet) {
        assert_eq!(self.service.ledger.totals().await.unwrap().imbalance(), 0);
        self.absences.lock().unwrap().extend(fleet.absences.iter().cloned());
        let untold = |finding: &Finding| {
            let told = finding.told.as_ref().filter(|_| finding.kind == Wrong::InsideRetryAfter);
            told.is_some_and(|told| self.is_absent(Some(&told.client), told.at, TELLING))
        };
        let report = self.service.simulator.report();
        let (excused, wrong): (Vec<&Finding>, Vec<&Finding>) = report.findings.iter().partition(|finding| untold(finding));
        println!("judge: {:?}, of which {} after a Retry-After that nobody could pass on", report.counts, excused.len());
        assert_eq!(report.violations as usize, report.findings.len(), "not all findings were kept");
        for finding in wrong.iter().take(10) {
            println!("{finding:#?}");
            self.tell_story(&finding.order);
        }
        assert!(wrong.is_empty(), "{} findings of the judge", wrong.len());
    }

    /// What was asked for of an order, for whoever has to find out.
    fn tell_story(&self, order: &str) {
        for request in self.service.simulator.requests().iter().filter(|request| request.order == order) {
            println!("  {} {} {}", request.time, request.operation, request.variables);
        }
    }
}
