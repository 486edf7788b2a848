//! A real Prometheus scrapes real daemons to which everything happens: then each expression of the dashboard and of the rules has data.

use crate::page::{filled_in, panels, rules, sides};
use crate::prometheus::Prometheus;
use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::daemon::Target;
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::Outgoing;
use crate::{merchant, service};
use bwp_simulator::{Answer, Apply, Options, Rule as Fault, When};
use serde_json::json;

/// Expressions that rightly give nothing here, and why. One that does give something is no longer to be listed.
const NOTHING: [(&str, &str); 1] = [("absent(bwp_sync_build_info)", "it gives something only where no replica is there")];

/// Alerts that what happens here makes fire at once.
const FIRES: [&str; 2] = ["BwpSyncDeadLetters", "BwpSyncQuarantined"];

/// A target that nobody reaches: its breaker opens.
fn nowhere(service: &Service) -> Target {
    Target {
        token_endpoint: "http://127.0.0.1:1/token".into(),
        client_id: "nobody".into(),
        ..service::target(&service.simulator)
    }
}

/// An answer that no table lists, once.
fn unlisted(order: &str) -> Fault {
    let when = When { operation: Some("updateOrder".into()), order: Some(order.into()), times: Some(1), ..When::default() };
    let answer = Answer::Errors { kind: "NeverSeenError".into(), code: Some("NeverSeen".into()), retry_after: None };
    Fault { when, apply: Some(Apply::No), answer, ..Fault::default() }
}

/// Orders of each story, two that die, one for a target that is away, an unreadable record, a tombstone; some wait for names.
async fn everything_happens(service: &Service) {
    let purchases: Vec<_> = (0..merchant::STORIES).map(merchant::purchase).chain([merchant::doomed(99)]).collect();
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    service.simulator.faults().one(unlisted("100002"));
    let events: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.events).collect();
    merchant::publish(&service.topics, &events).await;
    let refund = json!({"order": {"id": "7"}, "refund": {"id": "RF-7"}, "state": "SUCCESS", "total": {"amount": "1.00", "currency": "USD"}});
    let away = Event::new(Kind::Refund, "away", refund).with("target", "away");
    service.topics.publish(&away, Envelope::Structured).await;
    let odd = [Outgoing::raw(None, Some(b"no event")), Outgoing::raw(Some(b"k"), None)];
    service.topics.produce_all(&service.topics.refunds, &odd).await;
    let waiting: i64 = purchases.iter().map(|purchase| purchase.waiting).sum();
    service
        .totals("all but what waits to be settled", PATIENCE, |totals| {
            totals.finals == events.len() as i64 - waiting + 1 && totals.backlog.waiting == waiting
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_expression_of_the_dashboard_and_the_rules_gives_data() {
    let service = Service::open(2, Options::default()).await;
    let builder = service.builder.clone().target("away", &nowhere(&service));
    let mut daemons = [builder.start(), builder.start()];
    for daemon in &mut daemons {
        daemon.wait_ready().await;
    }
    let addresses = daemons.each_ref().map(|daemon| daemon.address("").trim_start_matches("http://").to_owned());
    let prometheus = Prometheus::start(&addresses).await;
    // A rate needs to have seen the counters before anything happened.
    prometheus.until("both are scraped", "up == 1", |samples| samples.len() == 2).await;
    prometheus.until("counters are there", "bwp_sync_outcomes_total", |samples| !samples.is_empty()).await;
    everything_happens(&service).await;

    for panel in panels() {
        for expression in panel.expressions {
            has_data(&prometheus, &format!("the panel {}", panel.title), &filled_in(&expression)).await;
        }
    }
    for rule in rules() {
        let Some(alert) = &rule.alert else {
            has_data(&prometheus, "a rule that records", &rule.expression).await;
            has_data(&prometheus, "what it recorded", rule.value["record"].as_str().unwrap()).await;
            continue;
        };
        for side in sides(&rule.expression) {
            has_data(&prometheus, alert, &side).await;
        }
        let fires = prometheus.query(&rule.expression).await.unwrap();
        // The target that nobody reaches: how often it was tried until now is a matter of time.
        let may_fire = ["BwpSyncBreakerOpen", "BwpSyncTokenFailing"].contains(&alert.as_str());
        assert!(may_fire || fires.is_empty() != FIRES.contains(&alert.as_str()), "{alert}: {fires:?}");
    }
    let unhealthy: Vec<_> = prometheus.rules().await.into_iter().filter(|(_, health)| health != "ok").collect();
    assert!(unhealthy.is_empty(), "{unhealthy:?}");
}

/// An expression gives a number, or is known to give nothing. What only fills in where nothing is there does not count.
async fn has_data(prometheus: &Prometheus, whose: &str, expression: &str) {
    let expression = expression.trim_end_matches(" or vector(0)");
    if NOTHING.iter().any(|(nothing, _)| *nothing == expression) {
        assert_eq!(prometheus.query(expression).await.unwrap(), [0.0; 0], "{expression} is listed as giving nothing");
        return;
    }
    prometheus.until(&format!("data for {whose}"), expression, |samples| !samples.is_empty()).await;
}
