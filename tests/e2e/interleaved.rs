//! A name that comes while its absence is being written down. An event is looked at, its name is missing, it is parked; meanwhile the
//! name arrives. Both are transactions with several points in them; every order of these points is played, on the real ledger, and in
//! each the event is sent: by its name, not because somebody looks again later.

use crate::shop::Shop;
use crate::steps::Replica;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::ledger::Ledger;
use serde_json::json;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The points at which the one who parks stops, and the one who brings the name.
const PARKS: [&str; 3] = ["claim-selected", "claim-committed", "settle-locked"];
const NAMES: [&str; 3] = ["intake-named", "intake-locked", "intake-due"];

/// Who is where: threads are told apart by their names, so that other tests in this process pass all points.
#[derive(Default)]
struct Stage {
    /// How many points each has been let through, and how many it has reached; and whether it has ended.
    let_through: [usize; 2],
    reached: [usize; 2],
    ended: [bool; 2],
}

#[derive(Clone, Default)]
struct Director(Arc<(Mutex<Stage>, Condvar)>);

const ACTORS: [&str; 2] = ["interleaved-parks", "interleaved-names"];

impl Director {
    /// What an actor does at a point.
    fn point(&self) {
        let current = thread::current();
        let Some(actor) = ACTORS.iter().position(|name| current.name() == Some(name)) else { return };
        let (stage, changed) = &*self.0;
        let mut stage = stage.lock().unwrap();
        stage.reached[actor] += 1;
        changed.notify_all();
        drop(changed.wait_while(stage, |stage| stage.let_through[actor] < stage.reached[actor]).unwrap());
    }

    /// Nobody has taken a step.
    fn begin(&self) {
        *self.0.0.lock().unwrap() = Stage::default();
    }

    fn end(&self, actor: usize) {
        let (stage, changed) = &*self.0;
        stage.lock().unwrap().ended[actor] = true;
        changed.notify_all();
    }

    /// Lets an actor go on to its next point, or its end, or for as long as the other may be what it waits for.
    fn step(&self, actor: usize) {
        let (stage, changed) = &*self.0;
        let mut stage = stage.lock().unwrap();
        if stage.ended[actor] {
            return;
        }
        // One that waits for the other's locks has not come to the point that it was let through for.
        if stage.reached[actor] == stage.let_through[actor] + 1 {
            stage.let_through[actor] += 1;
        }
        let goal = stage.let_through[actor] + 1;
        let is_under_way = |stage: &mut Stage| stage.reached[actor] < goal && !stage.ended[actor];
        drop(changed.wait_timeout_while(stage, Duration::from_millis(20), is_under_way).unwrap());
    }

    /// Lets both go on to their ends.
    fn finish(&self) {
        let (stage, changed) = &*self.0;
        let mut stage = stage.lock().unwrap();
        stage.let_through = [usize::MAX, usize::MAX];
        changed.notify_all();
        let began = Instant::now();
        while stage.ended != [true, true] {
            assert!(began.elapsed() < PATIENCE, "somebody has not come to an end: {:?}", stage.ended);
            stage = changed.wait_timeout(stage, Duration::from_millis(100)).unwrap().0;
        }
    }
}

/// Every order in which so many steps of the one and of the other may come.
fn orders(first: usize, second: usize) -> Vec<Vec<usize>> {
    match (first, second) {
        (0, 0) => vec![Vec::new()],
        _ => {
            let after = |actor: usize, rest: Vec<Vec<usize>>| rest.into_iter().map(move |rest| [vec![actor], rest].concat());
            let one = if first > 0 { after(0, orders(first - 1, second)).collect() } else { Vec::new() };
            let other: Vec<_> = if second > 0 { after(1, orders(first, second - 1)).collect() } else { Vec::new() };
            [one, other].concat()
        }
    }
}

/// A return of a line, and the row that says what its name stands for; or of an order, and the row that ties its name.
fn scene(of: &str, of_order: bool) -> (Event, Event) {
    let sku = json!({"type": "SKU", "id": "B-42"});
    let display = json!({"type": "DISPLAY", "id": format!("D-{of}")});
    let (order, line) = match of_order {
        true => (json!({"alias": display}), json!({"id": "L-1"})),
        false => (json!({"id": of}), json!({"alias": sku})),
    };
    let data = json!({"order": order, "return": {"id": format!("RMA-{of}")}, "state": "CREATED",
        "lines": [{"line": line, "quantity": 1}]});
    let row = match of_order {
        true => json!({"kind": "ORDER", "alias": display, "bwpId": format!("B-{of}")}),
        false => json!({"kind": "LINE_ITEM", "alias": sku, "bwpId": format!("line-{of}"), "order": {"id": of}}),
    };
    (Event::new(Kind::Return, &format!("r-{of}"), data), Event::new(Kind::Alias, &format!("a-{of}"), row))
}

fn seed(shop: &Shop, of: &str) {
    let seed = bwp_simulator::OrderSeed::new(format!("B-{of}")).alias("EXTERNAL_ID", of).line(&format!("line-{of}"), "L-1", 2);
    shop.simulator.seed_order(seed).unwrap();
}

/// What the one who parks is told.
enum Part {
    /// To take the event up once.
    Once,
    /// To do whatever is due until nothing is left: nobody looks at the clock here, so that what is not due now has been missed.
    Rest(Vec<usize>),
}

/// The one who parks: a replica that takes its steps when it is told to.
fn parks(shop: &Shop, director: &Director, parts: &Receiver<Part>, done: &Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inside = runtime.enter();
    let ledger = Ledger::new(&shop.settings.database.url.current(), 2).unwrap();
    let mut replica = Replica::with(shop, ledger.clone());
    drop(inside);
    while let Ok(part) = parts.recv() {
        runtime.block_on(async {
            let Part::Rest(schedule) = part else {
                replica.turn().await;
                return director.end(0);
            };
            wait_until("the event to be sent", PATIENCE, async || {
                ledger.wake_more("default").await.unwrap();
                replica.turn().await;
                let totals = ledger.totals().await.unwrap();
                if totals.backlog.total() == 0 { Ok(()) } else { Err(format!("{schedule:?}: {totals:?}")) }
            })
            .await;
            done.send(()).unwrap();
        });
    }
}

/// The one who brings names.
fn names(shop: &Shop, director: &Director, rows: &Receiver<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inside = runtime.enter();
    let ledger = Ledger::new(&shop.settings.database.url.current(), 2).unwrap();
    drop(inside);
    while let Ok(row) = rows.recv() {
        let report = runtime.block_on(ledger.intake(&[shop.incoming(&row)], &shop.targets())).unwrap();
        assert_eq!(report.new, 1);
        director.end(1);
    }
}

fn actor<'scope>(scope: &'scope thread::Scope<'scope, '_>, at: usize, run: impl FnOnce() + Send + 'scope) {
    thread::Builder::new().name(ACTORS[at].to_owned()).spawn_scoped(scope, run).unwrap();
}

#[test]
fn a_name_that_comes_between_the_look_up_and_the_parking_is_not_missed() {
    let main = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let director = Director::default();
    for point in PARKS.into_iter().chain(NAMES) {
        let director = director.clone();
        fail::cfg_callback(point, move || director.point()).unwrap();
    }
    // What is asked again later is asked much later: only the name itself can wake the event in time.
    let flags = ["waiting.sandbox_interval=1h", "waiting.read_interval=1h", "retry.initial=1h", "retry.max=2h"];
    let options = Options { token_limit: 10_000, ..Options::default() };
    let mut shop = main.block_on(Shop::open(options, &flags));
    main.block_on(shop.stop());
    let schedules = orders(PARKS.len() + 1, NAMES.len() + 1);
    thread::scope(|scope| {
        let (part, parts) = channel();
        let (row, rows) = channel();
        let (done, rested) = channel();
        actor(scope, 0, || parks(&shop, &director, &{ parts }, &{ done }));
        actor(scope, 1, || names(&shop, &director, &{ rows }));
        for (n, schedule) in schedules.iter().enumerate() {
            for of_order in [false, true] {
                let of = format!("{n}{}", if of_order { "o" } else { "l" });
                let (event, name) = scene(&of, of_order);
                seed(&shop, &of);
                main.block_on(shop.take(&[event]));
                director.begin();
                part.send(Part::Once).unwrap();
                row.send(name).unwrap();
                schedule.iter().for_each(|actor| director.step(*actor));
                director.finish();
                part.send(Part::Rest(schedule.clone())).unwrap();
                rested.recv().expect("the event is sent");
            }
        }
    });
    PARKS.into_iter().chain(NAMES).for_each(fail::remove);
    main.block_on(async {
        let outcomes = shop.outcomes().await;
        let returns = outcomes.iter().filter(|(id, _)| id.starts_with("r-"));
        assert!(returns.clone().all(|(_, own)| own.len() == 1 && own[0]["status"] == "DELIVERED"), "{outcomes:#?}");
        assert_eq!(returns.count(), schedules.len() * 2);
        shop.assert_clean().await;
    });
    println!("{} orders of steps, each with two kinds of names", schedules.len());
}
