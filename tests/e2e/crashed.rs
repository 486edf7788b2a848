//! A daemon that dies at each of the points of [`POINTS`] in turn, while it works, and is started again: nothing is lost, nothing is
//! doubled. A point at which it does not die fails the test.
//!
//! `BWP_TEST_POINTS=claim,settle-written` walks only through the points whose names begin so; `BWP_TEST_SEED` repeats the passes.

use crate::merchant::{Purchase, STORIES, doomed, publish, purchase, tied};
use crate::service::{Service, statuses};
use crate::support::daemon::{Builder, Daemon};
use crate::support::events::Event;
use crate::support::kafka::{Outgoing, brokers, committed, consume_all, ends};
use crate::support::wait_until;
use bwp_simulator::{Answer, Apply, Options, RetryAfter, Rule, Script, When};
use bwp_sync::crash::POINTS;
use bwp_sync::ledger::Totals;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Services side by side; each goes from round to round on its own database and topics.
const WALKERS: usize = 10;
/// Many daemons at once on a loaded machine.
const ROUND: Duration = Duration::from_secs(120);
const SIGABRT: i32 = 6;
/// Points that are passed often in every round: there the daemon may die at a later pass than the first.
const OFTEN: [&str; 7] = ["poll-", "intake-", "claim-", "attempt-", "settle-", "write-", "publish-"];
/// Points on the way into the ledger.
const EARLY: [&str; 4] = ["poll-", "batch-", "intake-", "offset-"];
/// Points that are passed only when late events and letters have come.
const LATE: [&str; 4] = ["alias-", "merge-", "retry-", "tie-"];

/// A point, and how often it is passed before the daemon dies there.
type Armed = (&'static str, usize);

/// The points at which the daemons of one round die, one after another: two are quicker than two rounds.
type Round = Vec<Armed>;

/// What one round came to, or why it failed.
type Walked = (Round, Result<Told, String>);

/// What became of a round, and the points that the daemon never came to because it died at the one before them too late.
#[derive(Clone)]
struct Told {
    text: String,
    missed: Round,
}

#[test]
fn crashed_at_every_point() {
    if cfg!(not(feature = "failpoints")) {
        panic!(
            "the program is built without fail points; run `make test`, or this test alone with \
             `scripts/with-servers cargo test --features failpoints --test e2e crashed`"
        );
    }
    println!("on {}", brokers());
    let seed = std::env::var("BWP_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BWP_TEST_SEED={seed}");
    let wanted = std::env::var("BWP_TEST_POINTS").unwrap_or_default();
    let began = Instant::now();
    let rounds = Mutex::new(rounds(&mut fastrand::Rng::with_seed(seed), &wanted));
    let walked = Mutex::new(Vec::new());
    std::thread::scope(|scope| (0..WALKERS).for_each(|_| drop(scope.spawn(|| walk(&rounds, &walked)))));
    let walked = walked.into_inner().unwrap();
    for (round, result) in &walked {
        let broken = |why: &String| format!("{} BROKEN: {why}", names(round).join(", "));
        let text = result.as_ref().map_or_else(broken, |told| told.text.clone());
        println!("{}", text.lines().next().unwrap_or_default());
    }
    println!("{} points in {:.1?}", walked.iter().map(|(round, _)| round.len()).sum::<usize>(), began.elapsed());
    assert!(!walked.is_empty(), "no point is called {wanted}");
    let broken: Vec<_> = walked.iter().filter(|(_, result)| result.is_err()).map(|(round, _)| names(round)).collect();
    assert!(broken.is_empty(), "something was wrong after: {broken:?}");
}

fn names(round: &[Armed]) -> Vec<&'static str> {
    round.iter().map(|(point, _)| *point).collect()
}

fn is_of(point: &str, families: &[&str]) -> bool {
    families.iter().any(|family| point.starts_with(family))
}

/// An early point and one of those in the middle, or one of these and a late one: so that the second is still ahead when the daemon
/// has died at the first.
fn rounds(dice: &mut fastrand::Rng, wanted: &str) -> VecDeque<Round> {
    let wanted: Vec<&str> = wanted.split(',').collect();
    let mut arm = |point: &&'static str| (*point, if is_of(point, &OFTEN) { dice.usize(0..2) } else { 0 });
    let all: Vec<Armed> = POINTS.iter().map(&mut arm).filter(|(point, _)| is_of(point, &wanted)).collect();
    let family = |families: &[&str]| -> Vec<Armed> { all.iter().filter(|(point, _)| is_of(point, families)).copied().collect() };
    let (early, late, ends, shares) = (family(&EARLY), family(&LATE), family(&["drain-"]), family(&["revoke-"]));
    let is_special = |armed: &&Armed| [&early, &late, &ends, &shares].iter().any(|family| family.contains(armed));
    let mut middle: VecDeque<Armed> = all.iter().filter(|armed| !is_special(armed)).copied().collect();
    let mut rounds: VecDeque<Round> = shares.iter().map(|armed| vec![*armed]).collect();
    rounds.extend(early.iter().map(|armed| [Some(*armed), middle.pop_front()].into_iter().flatten().collect::<Round>()));
    rounds.extend(late.iter().map(|armed| [middle.pop_front(), Some(*armed)].into_iter().flatten().collect::<Round>()));
    rounds.extend(middle.into_iter().map(|armed| vec![armed]));
    rounds.extend(ends.chunks(2).map(<[Armed]>::to_vec));
    rounds
}

/// Goes from round to round as long as there are any. A point that was missed as the second of its round comes again alone. What was
/// broken once is not used again, and its points are tried alone, to tell which it was.
fn walk(rounds: &Mutex<VecDeque<Round>>, walked: &Mutex<Vec<Walked>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut unbroken: Option<Stage> = None;
    let next = || rounds.lock().unwrap().pop_front();
    while let Some(round) = next() {
        let stage = unbroken.take();
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut stage = match stage {
                    Some(stage) => stage,
                    None => Stage::open().await,
                };
                let told = stage.round(&round).await;
                (stage, told)
            })
        }));
        let alone = |points: &[Armed]| rounds.lock().unwrap().extend(points.iter().map(|armed| vec![*armed]));
        let result = match result {
            Ok((stage, told)) => {
                unbroken = Some(stage);
                alone(&told.missed);
                Ok(told)
            }
            Err(panic) => {
                if round.len() > 1 {
                    alone(&round);
                }
                let text = panic.downcast_ref::<String>().cloned();
                Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
            }
        };
        walked.lock().unwrap().push((round, result));
    }
}

/// A service, and what has become of its events so far.
struct Stage {
    service: Service,
    builder: Builder,
    orders: usize,
    finals: i64,
    outcomes: usize,
}

/// The orders of one round.
struct Shop {
    purchases: Vec<Purchase>,
    doomed: Purchase,
}

impl Shop {
    fn new(n: usize) -> Shop {
        let purchases = (n..n + STORIES).map(purchase).chain([tied(n + STORIES)]).collect();
        Shop { purchases, doomed: doomed(n + STORIES + 1) }
    }

    fn all(&self) -> impl Iterator<Item = &Purchase> {
        self.purchases.iter().chain([&self.doomed])
    }

    fn events(&self) -> Vec<&Event> {
        self.all().flat_map(|purchase| &purchase.events).collect()
    }

    fn late(&self) -> Vec<&Event> {
        self.all().flat_map(|purchase| &purchase.late).collect()
    }

    fn waiting(&self) -> i64 {
        self.all().map(|purchase| purchase.waiting).sum()
    }
}

impl Stage {
    async fn open() -> Stage {
        let options = Options { token_limit: 1000, latency: Duration::from_millis(5), ..Options::default() };
        let service = Service::open(2, options).await;
        let settings = [
            ("ops.listen", "127.0.0.1:0"),
            ("kafka.properties.heartbeat_interval_ms", "200"),
            ("kafka.properties.session_timeout_ms", "6000"),
            ("dispatch.lease", "4100ms"),
            ("dispatch.max_in_flight", "4"),
            ("ingest.batch_records", "6"),
            ("database.max_connections", "4"),
        ];
        let builder = settings.into_iter().fold(service.builder.clone(), |builder, (key, value)| builder.set(key, value));
        Stage { service, builder, orders: 0, finals: 0, outcomes: 0 }
    }

    /// Orders of every story, a daemon that dies at each point, and one that goes on.
    async fn round(&mut self, round: &[Armed]) -> Told {
        let shop = Shop::new(self.orders);
        self.service.simulator.seed_orders(shop.all().map(|purchase| purchase.seed.clone()).collect()).unwrap();
        self.service.simulator.faults().set(faults(round, self.orders));
        self.orders += shop.all().count();
        publish(&self.service.topics, &shop.events()).await;
        let orders = &self.service.topics.orders;
        let (partition, offset) = self.service.topics.produce(orders, &Outgoing::raw(None, Some(b"{ not json"))).await;
        let unreadable = format!("{orders}/{partition}/{offset}");
        let mut keeper = Keeper::start(self, round);
        let (finals, outcomes) = tokio::select! {
            never = keeper.keep() => match never {},
            counts = self.work(&shop, unreadable) => counts,
        };
        let told = keeper.end().await;
        (self.finals, self.outcomes) = (finals, outcomes);
        told
    }

    /// What happens outside of the daemon. Gives how many outcomes count then, and how many there were.
    async fn work(&self, shop: &Shop, unreadable: String) -> (i64, usize) {
        let (events, late, waiting) = (shop.events(), shop.late(), shop.waiting());
        // One more could not be read.
        let finals = self.finals + events.len() as i64 + 1 - waiting;
        // What waits for a name and may have been sent counts as retrying.
        let is_early_done = |totals: &Totals| {
            (totals.finals, totals.backlog.total(), totals.backlog.waiting + totals.backlog.retrying)
                == (finals, waiting, waiting)
        };
        self.service.totals("only what waits for a name to be left", ROUND, is_early_done).await;
        self.nothing_due().await;
        let nth =
            |n: u8| -> BTreeSet<String> { shop.doomed.events.iter().map(|event| format!("/oms#{}#{n}", event.id())).collect() };
        let mut letters = self.letters(&nth(1).into_iter().chain([unreadable.clone()]).collect()).await;
        letters.remove(&unreadable);
        publish(&self.service.topics, &late).await;
        for (topic, letter) in letters.values() {
            self.service.topics.produce(topic, letter).await;
        }
        // Letters reopen the outcomes of their events, which then have another.
        let outcomes = self.outcomes + events.len() + 1 + late.len() + letters.len();
        let finals = finals + waiting + late.len() as i64;
        self.service.drained(finals as usize, ROUND).await;
        let all = self.service.outcomes(outcomes).await;
        let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
        let joyful = shop.purchases.iter().flat_map(|purchase| purchase.events.iter().chain(&purchase.late));
        let bad: Vec<_> = statuses(&all, joyful).into_iter().filter(|(_, status)| !good.contains(&status.as_str())).collect();
        assert_eq!(bad, [], "{all:#?}");
        for event in &shop.doomed.events {
            let own: Vec<_> = all[&event.id()].iter().map(|(id, data)| (id.as_str(), data["status"].as_str().unwrap())).collect();
            let [first, second] = ["1", "2"].map(|number| format!("/oms#{}#{number}", event.id()));
            assert_eq!(own, [(first.as_str(), "DEAD"), (second.as_str(), "DEAD")]);
        }
        self.letters(&nth(2)).await;
        for purchase in &shop.purchases {
            self.service.assert_holds(purchase).await;
        }
        self.service.assert_clean().await;
        (finals, outcomes)
    }

    /// The dead letters of these outcomes, once they are there, with the topics that they came from.
    async fn letters(&self, wanted: &BTreeSet<String>) -> BTreeMap<String, (String, Outgoing)> {
        let mut letters = BTreeMap::new();
        let records = consume_all(
            &self.service.topics.dead_letters,
            |records| {
                let ids: BTreeSet<_> = records.iter().filter_map(|record| record.text_header("x-bwp-sync-outcome-id")).collect();
                wanted.is_subset(&ids)
            },
            ROUND,
        )
        .await;
        for record in records {
            let Some(id) = record.text_header("x-bwp-sync-outcome-id").filter(|id| wanted.contains(id)) else { continue };
            let topic = record.text_header("x-bwp-sync-topic").unwrap();
            letters
                .insert(id, (topic, Outgoing { key: record.key, value: record.value, headers: record.headers, partition: None }));
        }
        letters
    }

    /// Waits until no order has anything to do soon: what waits has been read, where it had to be.
    async fn nothing_due(&self) {
        let pool = self.service.database.pool().await;
        wait_until("nothing to be due", ROUND, async || {
            let due = "SELECT count(*) FROM lane WHERE next_at < now() + interval '1 min'";
            let due: i64 = sqlx::query_scalar(due).fetch_one(&pool).await.map_err(|error| error.to_string())?;
            if due == 0 { Ok(()) } else { Err(format!("{due} lanes")) }
        })
        .await;
        pool.close().await;
    }

    /// The outbox is held for a dead replica some seconds longer: this is what is left of them.
    async fn hurry_outbox(&self) {
        let pool = self.service.database.pool().await;
        sqlx::query("UPDATE cursor SET held_until = now() - interval '1 s'").execute(&pool).await.unwrap();
        pool.close().await;
    }
}

/// Keeps a daemon running that dies at each point.
struct Keeper<'a> {
    stage: &'a Stage,
    builder: Builder,
    began: Instant,
    daemon: Daemon,
    /// The points at which it dies, the next one first.
    armed: VecDeque<Armed>,
    died: Vec<(&'static str, Duration)>,
    provoked: bool,
    /// Another replica.
    beside: Option<Daemon>,
}

impl<'a> Keeper<'a> {
    fn start(stage: &'a Stage, round: &[Armed]) -> Keeper<'a> {
        let mut builder = stage.builder.clone();
        // With an instance id a member that comes back does not wait until the group has given up the one that died. But one that
        // dies between giving partitions up and joining again leaves them to nobody until somebody else comes or goes.
        if !round.iter().any(|(point, _)| point.starts_with("revoke-")) {
            builder = builder.set("kafka.properties.group_instance_id", "one");
        }
        let daemon = armed(&builder, round.first()).start();
        let armed = round.iter().copied().collect();
        Keeper { stage, builder, began: Instant::now(), daemon, armed, died: Vec::new(), provoked: false, beside: None }
    }

    async fn keep(&mut self) -> Infallible {
        loop {
            if let Some(status) = self.daemon.exit_status() {
                let (point, _) = self.armed.pop_front().unwrap_or_else(|| panic!("the daemon ended by itself: {status}"));
                assert_eq!(status.signal(), Some(SIGABRT), "{point}: {status}");
                assert!(self.daemon.log().contains(&format!("failpoint {point} panic")), "{point}: died of something else");
                self.died.push((point, self.began.elapsed()));
                self.stage.hurry_outbox().await;
                self.daemon = armed(&self.builder, self.armed.front()).start();
                self.provoked = false;
            }
            if !self.provoked {
                self.provoke().await;
            }
            let report = self.stage.service.simulator.report();
            assert_eq!(report.violations, 0, "the judge has found {:?}", report.findings);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Some points are passed only on occasion: at the end, and when another replica takes its share.
    async fn provoke(&mut self) {
        let Some((point, _)) = self.armed.front() else { return };
        let (ends, shares) = (point.starts_with("drain-"), point.starts_with("revoke-"));
        if !(ends || shares) || !self.daemon.log().contains("joined the group") {
            return;
        }
        if self.stage.service.ledger.totals().await.is_ok_and(|totals| totals.finals > self.stage.finals) {
            self.provoked = true;
            if ends {
                self.daemon.signal("TERM");
            } else {
                self.beside = Some(self.builder.start());
            }
        }
    }

    /// Ends the daemon that went on, in the way that its commits show.
    async fn end(mut self) -> Told {
        let missed: Round = self.armed.into_iter().collect();
        assert!(missed.is_empty() || !self.died.is_empty(), "the daemon never came to {}", names(&missed).join(", "));
        let whole = self.began.elapsed();
        for mut daemon in [Some(self.daemon), self.beside.take()].into_iter().flatten() {
            assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0));
        }
        let topics = &self.stage.service.topics;
        let read = self.died.iter().any(|(point, _)| is_of(point, &EARLY) || is_of(point, &["drain-", "revoke-"]));
        let topics =
            [&topics.returns, &topics.refunds, &topics.shipments, &topics.orders, &topics.aliases].into_iter().filter(|_| read);
        for topic in topics {
            let mut written = ends(topic).await;
            written.retain(|_, end| *end > 0);
            assert_eq!(committed(self.builder.group(), topic), written, "{topic}");
        }
        let died = self.died.iter().map(|(point, after)| format!("{point} SIGABRT after {after:.1?}"));
        let came = missed.first().map(|(point, _)| format!(", too late for {point}")).unwrap_or_default();
        let text = format!("{}{came}; whole again after {whole:.1?}", died.collect::<Vec<_>>().join(", "));
        Told { text, missed }
    }
}

fn armed(builder: &Builder, point: Option<&Armed>) -> Builder {
    match point {
        Some((point, passed)) => builder.clone().failing(format!("{point}={passed}*off->panic")),
        None => builder.clone(),
    }
}

/// Some answers are lost, whether or not what was asked for was done; and one says that it is too much.
fn faults(round: &[Armed], first: usize) -> Script {
    let rule = |story: usize, apply, answer| Rule {
        when: When {
            operation: Some("updateOrder".to_owned()),
            order: Some(format!("B-{:06}", 100_000 + first + story)),
            times: Some(1),
            ..When::default()
        },
        apply: Some(apply),
        answer,
        ..Rule::default()
    };
    let unavailable = Answer::Status { status: 503, body: Default::default(), retry_after: None };
    let mut rules = vec![rule(0, Apply::Yes, Answer::Reset), rule(2, Apply::Yes, unavailable), rule(6, Apply::No, Answer::Reset)];
    if round.iter().any(|(point, _)| point.starts_with("throttle-")) {
        rules.push(rule(4, Apply::No, Answer::TooManyRequests { retry_after: Some(RetryAfter::Seconds(1)) }));
    }
    Script { rules, seed: 0 }
}
