//! One order under three names that nobody knows to be one: whatever the order in which events, names, claims, calls, settles, crashes
//! and lost leases come, Buy with Prime ends with what the same events say one after another, each thing done once.

use crate::shop::Shop;
use crate::steps::Replica;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, OrderSeed};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const CASES: u32 = 30;
/// The order's names: one that Buy with Prime knows, one that it does not, and its own.
const NAMES: usize = 3;
/// Refunds and returns, by turns.
const THINGS: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Op {
    /// The next snapshot of a thing, under this name where that is known to be the same order.
    Take(usize, usize),
    /// A row says which order the name stands for.
    Tie(usize),
    /// An event comes once more.
    Repeat(usize),
    Claim,
    Call(usize),
    Settle(usize),
    Die(usize),
    Hang(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..THINGS, 0..NAMES).prop_map(|(thing, name)| Op::Take(thing, name)),
        2 => (0..2_usize).prop_map(Op::Tie),
        1 => (0..8_usize).prop_map(Op::Repeat),
        5 => Just(Op::Claim),
        6 => (0..3_usize).prop_map(Op::Call),
        5 => (0..3_usize).prop_map(Op::Settle),
        1 => (0..3_usize).prop_map(Op::Die),
        1 => (0..3_usize).prop_map(Op::Hang),
    ]
}

/// Random steps, often after the beginning of one story: both lanes are in flight when they turn out to be one order.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    use Op::{Call, Claim, Die, Settle, Take, Tie};
    let both = [Take(0, 0), Take(2, 2), Claim, Call(0), Call(0), Tie(0), Settle(0), Die(0)];
    let begins = (0..=both.len()).prop_map(move |count| both[..count].to_vec());
    (begins, prop::collection::vec(op(), 1..32)).prop_map(|(begins, rest)| [begins, rest].concat())
}

/// The events so far, and what they come to one after another.
struct Story {
    of: String,
    taken: Vec<Event>,
    counts: [usize; THINGS],
    tied: [bool; NAMES],
}

impl Story {
    fn bwp_id(&self) -> String {
        format!("B-{}", self.of)
    }

    fn name(&self, name: usize) -> Value {
        match name {
            0 => json!({"id": self.of}),
            1 => json!({"alias": {"type": "DISPLAY", "id": format!("D-{}", self.of)}}),
            _ => json!({"bwpId": self.bwp_id()}),
        }
    }

    /// A thing has a name of its own, until it is known that others are the same order: no system could keep two orders apart in order.
    fn next(&mut self, thing: usize, name: usize) -> Event {
        let own = thing % NAMES;
        let name = if self.tied[own] && self.tied[name] { name } else { own };
        self.counts[thing] += 1;
        let (order, n, id) = (self.name(name), self.counts[thing], format!("{}-{thing}-{}", self.of, self.counts[thing]));
        let event = match thing % 2 {
            0 => {
                let payment = |at: usize| {
                    json!({"id": format!("{}-{thing}-p{at}", self.of), "amount": {"amount": "1.00", "currency": "USD"},
                        "method": {"type": "AMAZON_PAY", "display": "Visa"}, "state": "SUCCESS"})
                };
                let payments: Vec<Value> = (1..=n).map(payment).collect();
                let total = json!({"amount": format!("{n}.00"), "currency": "USD"});
                let data = json!({"order": order, "refund": {"id": format!("RF-{thing}")}, "state": "PARTIAL", "total": total,
                    "payments": payments});
                Event::new(Kind::Refund, &id, data)
            }
            _ => {
                let state = if n == 1 { "CREATED" } else { "COMPLETED" };
                let data = json!({"order": order, "return": {"id": format!("RMA-{thing}")}, "state": state,
                    "lines": [{"line": {"id": "L-1"}, "quantity": 1}]});
                Event::new(Kind::Return, &id, data)
            }
        };
        self.taken.push(event.clone());
        event
    }

    fn tie(&mut self, name: usize) -> Event {
        let alias = match name {
            0 => json!({"type": "EXTERNAL_ID", "id": self.of}),
            _ => json!({"type": "DISPLAY", "id": format!("D-{}", self.of)}),
        };
        self.tied[name] = true;
        let row = json!({"kind": "ORDER", "alias": alias, "bwpId": self.bwp_id()});
        Event::new(Kind::Alias, &format!("{}-tie-{name}", self.of), row)
    }

    /// What Buy with Prime should hold: the last snapshot of each thing, and each payment once.
    fn expected(&self) -> BTreeMap<String, Value> {
        let things = (0..THINGS).filter(|thing| self.counts[*thing] > 0);
        things
            .map(|thing| match (thing % 2, self.counts[thing]) {
                (0, n) => (format!("RF-{thing}"), json!([format!("{n}.00"), n])),
                (_, 1) => (format!("RMA-{thing}"), json!("CREATED")),
                (..) => (format!("RMA-{thing}"), json!("COMPLETED")),
            })
            .collect()
    }

    fn held(&self, shop: &Shop) -> BTreeMap<String, Value> {
        let seen = crate::merchant::seen(&shop.simulator.order(&self.bwp_id()).unwrap());
        let list = |what: &str| seen[what].as_array().unwrap().clone();
        let refunds = list("refunds")
            .into_iter()
            .map(|it| (it["alias"].clone(), json!([it["total"], it["payments"].as_array().unwrap().len()])));
        let returns = list("returns").into_iter().map(|it| (it["alias"].clone(), it["state"].clone()));
        let named: Vec<_> = refunds.chain(returns).collect();
        let held: BTreeMap<String, Value> =
            named.iter().map(|(alias, it)| (alias.as_str().unwrap().to_owned(), it.clone())).collect();
        assert_eq!(held.len(), named.len(), "a thing is there twice: {named:?}");
        held
    }
}

async fn play(shop: &mut Shop, of: String, ops: &[Op]) {
    shop.simulator.seed_order(OrderSeed::new(format!("B-{of}")).alias("EXTERNAL_ID", &of).line("line-1", "L-1", 9)).unwrap();
    let mut story = Story { of, taken: Vec::new(), counts: [0; THINGS], tied: [false, false, true] };
    let mut replica = Replica::of(shop);
    for op in ops {
        let some = |at: usize, replica: &Replica| at % replica.held.len().max(1);
        match *op {
            Op::Take(thing, name) => _ = shop.take(&[story.next(thing, name)]).await,
            Op::Tie(name) => _ = shop.take(&[story.tie(name)]).await,
            Op::Repeat(at) if !story.taken.is_empty() => {
                let report = shop.take(&[story.taken[at % story.taken.len()].clone()]).await;
                assert_eq!((report.new, report.duplicates), (0, 1));
            }
            Op::Repeat(_) => {}
            Op::Claim => replica.claim().await,
            Op::Call(at) => replica.call(some(at, &replica)).await,
            Op::Settle(at) => _ = replica.settle(some(at, &replica)).await,
            Op::Die(at) => replica.lose(shop, some(at, &replica), false).await,
            Op::Hang(at) => replica.lose(shop, some(at, &replica), true).await,
        }
    }
    // What it still holds is as lost as the rest, and all names become known.
    for at in (0..replica.held.len()).rev() {
        replica.lose(shop, at, false).await;
    }
    shop.take(&[story.tie(1), story.tie(0)]).await;
    shop.start();
    wait_until("everything to be sent", PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.total() == 0 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    shop.stop().await;
    assert_eq!(story.held(shop), story.expected());
    let outcomes = shop.outcomes().await;
    for event in &story.taken {
        let own: Vec<&str> = outcomes[&event.id()].iter().map(|outcome| outcome["status"].as_str().unwrap()).collect();
        let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
        assert!(own.len() == 1 && good.contains(&own[0]), "{}: {own:?}", event.id());
    }
    let names = "SELECT DISTINCT lane FROM order_name WHERE id IN ($1, 'B-' || $1, 'D-' || $1)";
    let lanes: BTreeSet<i64> =
        sqlx::query_scalar(names).bind(&story.of).fetch_all(&shop.database.pool().await).await.unwrap().into_iter().collect();
    assert_eq!(lanes.len(), 1, "all names lead to one lane");
    shop.assert_clean().await;
}

async fn open() -> Shop {
    let flags = [
        "dispatch.request_timeout=600ms",
        "dispatch.lease=4s",
        "retry.initial=50ms",
        "retry.max=200ms",
        "waiting.sandbox_interval=100ms",
        "waiting.read_interval=200ms",
    ];
    let mut shop = Shop::open(Options { token_limit: 1000, ..Options::default() }, &flags).await;
    shop.stop().await;
    shop
}

#[test]
fn orders_that_turn_out_to_be_one_are_as_if_they_had_always_been() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() });
    // One shop for all cases, but for those after one that has left something behind.
    let (unbroken, count) = (RefCell::new(None::<Shop>), RefCell::new(0));
    let result = runner.run(&ops(), |ops| {
        *count.borrow_mut() += 1;
        let of = format!("{:06}", *count.borrow());
        let mut shop = unbroken.borrow_mut().take().unwrap_or_else(|| runtime.block_on(open()));
        runtime.block_on(play(&mut shop, of, &ops));
        *unbroken.borrow_mut() = Some(shop);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
