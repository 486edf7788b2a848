//! A daemon that is killed while it works, again and again, and started again, while Buy with Prime loses some answers: nothing is
//! doubled, nothing is lost.

use crate::merchant::{Purchase, publish, purchase};
use crate::service::{Service, statuses};
use crate::sound::assert_sound;
use crate::support::PATIENCE;
use crate::support::events::Event;
use bwp_simulator::{Answer, Apply, Options, Rule, Script, When};
use std::time::{Duration, Instant};

const ORDERS: usize = 400;
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_works() {
    let seed = std::env::var("BWP_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BWP_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let service = Service::open(6, Options { latency: Duration::from_millis(20), ..Options::default() }).await;
    let purchases: Vec<Purchase> = (0..ORDERS).map(purchase).collect();
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    service.simulator.faults().set(lossy(seed));
    let events: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.events).collect();
    let late: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.late).collect();

    // With an instance id a member that comes back does not have to wait until the group has given up the one that was killed.
    let builder = service.builder.clone().set("kafka.properties.group_instance_id", "one").set("dispatch.max_in_flight", "8");
    let builder = builder.set("dispatch.request_timeout", "1s").set("dispatch.lease", "4s").set("ingest.batch_records", "50");
    let began = Instant::now();
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    publish(&service.topics, &events).await;
    for kill in 0..KILLS {
        // Not waiting for anything: the moment is what is tried.
        tokio::time::sleep(Duration::from_millis(dice.u64(50..1500))).await;
        daemon.kill();
        assert_sound(&service.ledger).await;
        let totals = service.ledger.totals().await.unwrap();
        println!("killed after {:?}: {totals:?}", began.elapsed());
        daemon = builder.start();
        if kill == KILLS / 2 {
            publish(&service.topics, &late).await;
        }
    }
    let count = events.len() + late.len();
    service.drained(count, PATIENCE * 2).await;
    println!("{count} events after {:?}", began.elapsed());
    let outcomes = service.outcomes(count).await;
    assert_eq!(outcomes.len(), count);
    let statuses = statuses(&outcomes, events.iter().copied().chain(late.iter().copied()));
    let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
    let bad: Vec<_> = statuses.iter().filter(|(_, status)| !good.contains(&status.as_str())).collect();
    assert_eq!(bad, [], "{outcomes:#?}");
    for purchase in &purchases {
        service.assert_holds(purchase).await;
    }
    let report = service.assert_clean().await;
    println!("{} mutations accepted, {} answers lost", report.accepted, report.unclear);
    assert!(report.unclear > 0, "no answer was lost: the test tests nothing");
    assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0));
    assert!(!daemon.log().contains("the ledger is not as it must be"), "{}", daemon.log());
    println!("with everything after {:?}", began.elapsed());
}

/// Of a hundred mutations some are applied and not answered, some neither; now and then a read is not answered.
fn lossy(seed: u64) -> Script {
    let rule = |operation: &str, apply, answer, probability| Rule {
        when: When { operation: Some(operation.to_owned()), probability: Some(probability), ..When::default() },
        apply: Some(apply),
        answer,
        ..Rule::default()
    };
    let unavailable = Answer::Status { status: 503, body: Default::default(), retry_after: None };
    let mut rules = Vec::new();
    for operation in ["updateOrder", "updateOrderPackageInformation"] {
        rules.push(rule(operation, Apply::Yes, Answer::Reset, 0.04));
        rules.push(rule(operation, Apply::No, Answer::Reset, 0.04));
        rules.push(rule(operation, Apply::Yes, unavailable.clone(), 0.03));
        rules.push(rule(operation, Apply::LateMs(200), Answer::Never, 0.01));
    }
    rules.push(rule("order", Apply::No, Answer::Reset, 0.03));
    Script { rules, seed }
}
