//! Postgres, Buy with Prime, its token endpoint or a topic are away for a while: the process lives, nothing dies, nothing is lost or
//! doubled, and all goes on by itself.

use crate::cluster::Cluster;
use crate::merchant::{Purchase, publish, purchase};
use crate::service::{Service, hurried, statuses, target};
use crate::support::daemon::{Builder, Daemon};
use crate::support::events::Event;
use crate::support::kafka::create;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Options, Rule, Script, Simulator, When};
use bwp_sync::ledger::Ledger;
use std::time::Duration;

fn purchases(simulator: &Simulator, count: usize) -> Vec<Purchase> {
    let purchases: Vec<Purchase> = (0..count).map(purchase).collect();
    simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    purchases
}

fn all_events(purchases: &[Purchase]) -> Vec<&Event> {
    purchases.iter().flat_map(|purchase| purchase.events.iter().chain(&purchase.late)).collect()
}

/// Everything ended well, and Buy with Prime holds what it should.
async fn assert_done(service: &Service, purchases: &[Purchase]) {
    let events = all_events(purchases);
    service.drained(events.len(), PATIENCE * 2).await;
    let outcomes = service.outcomes(events.len()).await;
    let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
    for (id, status) in statuses(&outcomes, events) {
        assert!(good.contains(&status.as_str()), "{id}: {status}");
    }
    for purchase in purchases {
        service.assert_holds(purchase).await;
    }
    service.assert_clean().await;
}

async fn working(daemon: &mut Daemon) {
    assert_eq!(daemon.exit_status(), None, "the process ended");
    daemon.page("/livez").await.unwrap();
}

/// How often the simulator's rules decided.
fn fired(service: &Service) -> u64 {
    service.simulator.faults().counts().iter().map(|count| count.fired).sum()
}

/// What the loops say that cannot reach the ledger.
const LOOPS: [&str; 2] = ["lanes cannot be claimed", "the totals cannot be read"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buy_with_prime_is_away_for_a_while() {
    let service = Service::open(2, Options::default()).await;
    let purchases = purchases(&service.simulator, 80);
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    let unavailable = Answer::Status { status: 503, body: Default::default(), retry_after: None };
    let rule = |operation: Option<&str>, answer: &Answer| Rule {
        when: When { operation: operation.map(str::to_owned), ..When::default() },
        apply: Some(Apply::No),
        answer: answer.clone(),
        ..Rule::default()
    };
    let api = ["updateOrder", "updateOrderPackageInformation", "order"].map(|operation| rule(Some(operation), &unavailable));
    service.simulator.faults().set(Script { rules: api.into(), seed: 0 });
    publish(&service.topics, &all_events(&purchases)).await;
    let refused = async |what: &str, count| {
        wait_until(what, PATIENCE, async || if fired(&service) >= count { Ok(()) } else { Err(fired(&service).to_string()) })
            .await;
    };
    refused("the API to be asked again and again", 15).await;
    working(&mut daemon).await;

    // The API is back; now nobody gets a token.
    service.simulator.expire_tokens();
    let no_token = Answer::Status { status: 400, body: Default::default(), retry_after: None };
    service.simulator.faults().one(rule(Some("token"), &no_token));
    refused("the token endpoint to be asked again", 2).await;
    working(&mut daemon).await;
    service.simulator.faults().clear();
    assert_done(&service, &purchases).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_while_it_works() {
    let service = Service::open(2, Options { latency: Duration::from_millis(50), ..Options::default() }).await;
    let purchases = purchases(&service.simulator, 240);
    let events = all_events(&purchases);
    let builder = service.builder.clone().set("dispatch.max_in_flight", "8");
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    publish(&service.topics, &events).await;
    for round in 1..=3 {
        let target = (events.len() * round / 6) as i64;
        service.totals("some work to be done", PATIENCE, |totals| totals.finals >= target).await;
        assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0));
        let totals = service.ledger.totals().await.unwrap();
        assert!(totals.backlog.total() > 0, "all was done already: {totals:?}");
        assert_eq!(totals.backlog.in_flight, 0, "calls in flight were not finished: {totals:?}");
        daemon = builder.start();
    }
    assert_done(&service, &purchases).await;
    // Whoever stops finishes what is in flight: nothing had to be read to know what became of it.
    assert_eq!(service.simulator.report().unclear, 0);
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_is_taken_up_when_it_is_made() {
    let mut service = Service::open(1, Options::default()).await;
    let purchases = purchases(&service.simulator, 16);
    let late = format!("{}.late", service.topics.refunds);
    service.topics.refunds = late.clone();
    let builder = service.builder.clone().set("kafka.topics.refunds", &late);
    // The default is five minutes.
    let mut daemon = builder.set("kafka.properties.topic_metadata_refresh_interval_ms", "1000").start();
    daemon.wait_ready().await;
    let (refunds, others): (Vec<&Event>, Vec<&Event>) =
        all_events(&purchases).into_iter().partition(|event| event.topic(&service.topics) == late);
    publish(&service.topics, &others).await;
    service.totals("the other topics to be read", PATIENCE, |totals| totals.read >= others.len() as i64).await;
    wait_until(
        "the missing topic to be named",
        PATIENCE,
        async || {
            if daemon.log().contains(&late) { Ok(()) } else { Err(daemon.log()) }
        },
    )
    .await;
    create(&[&late], 1).await;
    publish(&service.topics, &refunds).await;
    assert_done(&service, &purchases).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_and_comes_back() {
    let cluster = Cluster::start();
    let mut service = Service::open(2, Options { latency: Duration::from_millis(20), ..Options::default() }).await;
    let purchases = purchases(&service.simulator, 240);
    let events = all_events(&purchases);
    let builder = Builder::new(&cluster.database(), &service.topics);
    let builder = hurried(builder.target("default", &target(&service.simulator))).set("dispatch.max_in_flight", "8");
    service.ledger = Ledger::new(&cluster.url().into(), 2).unwrap();
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    publish(&service.topics, &events).await;
    for round in 1..=2 {
        let target = (events.len() * round / 4) as i64;
        service.totals("some work to be done", PATIENCE, |totals| totals.finals >= target).await;
        let met = |daemon: &Daemon, words: &str| daemon.log().matches(words).count();
        let before = LOOPS.map(|words| met(&daemon, words));
        cluster.kill();
        wait_until("the daemon to notice", PATIENCE, async || match service.ledger.totals().await {
            Ok(totals) => Err(format!("{totals:?}")),
            Err(_) => Ok(()),
        })
        .await;
        for (words, before) in LOOPS.into_iter().zip(before) {
            wait_until("the loops to meet the outage", PATIENCE, async || {
                if met(&daemon, words) > before { Ok(()) } else { Err(words.to_owned()) }
            })
            .await;
        }
        working(&mut daemon).await;
        wait_until("the server to come back", PATIENCE, async || {
            tokio::task::block_in_place(|| cluster.script("start"));
            service.ledger.totals().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
    assert_done(&service, &purchases).await;
    working(&mut daemon).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}
