//! Joining within the API's limits of size (contract, section 2), and what becomes of the parts of a joined mutation.

use crate::{Bench, alias, line, parsed, usd, with};
use bwp_sync::config::{Coalesce, Environment};
use bwp_sync::plan::Next;
use bwp_sync::plan::outcome::Status;
use bwp_sync::plan::rank::EventNo;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn refund(bench: &mut Bench, id: &str, more: Value) -> EventNo {
    bench.event("refund", with(json!({"refund": {"id": id}, "state": "SUCCESS", "total": usd("1.00")}), more))
}

/// How many entries each mutation has.
fn sizes(inputs: &[Value]) -> Vec<usize> {
    inputs.iter().map(|input| input["refunds"]["details"].as_array().map_or(0, Vec::len)).collect()
}

#[test]
fn an_order_has_five_aliases_and_five_links_at_most_and_what_brings_more_costs_nobody_else() {
    let aliases =
        |ids: &[u32]| json!({"aliases": ids.iter().map(|id| json!({"type": "D", "id": id.to_string()})).collect::<Vec<_>>()});
    let links = |ids: &[u32]| json!({"links": ids.iter().map(|id| json!({"destination": "BWP_STOREFRONT", "url": id.to_string()})).collect::<Vec<_>>()});
    for (member, path, code, of) in [
        ("aliases", "aliases", "TOO_MANY_ALIASES", &aliases as &dyn Fn(&[u32]) -> Value),
        ("links", "orderLinks", "TOO_MANY_LINKS", &links),
    ] {
        let mut bench = Bench::new();
        let first = bench.event("order", with(of(&[1, 2, 3, 4]), json!({"executionState": "STARTED"})));
        let fits = bench.event("order", of(&[4, 5]));
        let sixth = bench.event("order", with(of(&[5, 6]), json!({"taxes": usd("1.00")})));
        let other = refund(&mut bench, "A", json!({}));
        let inputs = bench.play();
        assert_eq!(inputs.len(), 1, "{member}: {inputs:#?}");
        assert_eq!(inputs[0][path].as_array().unwrap().len(), 5, "{member}");
        assert!(inputs[0].get("taxes").is_none(), "{member}: nothing of a refused event");
        assert_eq!((bench.status(sixth), bench.code(sixth)), (Some(Status::Dead), code));
        assert_eq!([first, fits, other].map(|no| bench.status(no)), [Some(Status::Delivered); 3], "{member}");
        // What is there needs no room; what is not, finds none.
        let known = bench.event("order", of(&[1, 5]));
        let seventh = bench.event("order", of(&[7]));
        assert!(bench.play().is_empty());
        assert_eq!((bench.status(known), bench.code(seventh)), (Some(Status::NothingToSend), code));
    }
}

#[test]
fn an_order_that_was_read_has_room_for_what_it_lacks() {
    let mut bench = Bench::new();
    let carried: Vec<Value> = ["1", "2", "3", "4"].iter().map(|id| alias("D", id)).collect();
    let view = serde_json::from_value(json!({"id": "322-A", "aliases": carried})).unwrap();
    bench.lane.learn(&view, bench.now);
    let fits = bench.event("order", json!({"aliases": [{"type": "D", "id": "5"}]}));
    let over = bench.event("order", json!({"aliases": [{"type": "D", "id": "6"}]}));
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.status(fits), bench.code(over)), (Some(Status::Delivered), "TOO_MANY_ALIASES"));
}

#[test]
fn a_mutation_has_at_most_a_hundred_entries_and_the_rest_follows_in_the_order_of_intake() {
    let mut bench = Bench::new();
    let all: Vec<EventNo> = (0..250).map(|number| refund(&mut bench, &format!("R-{number}"), json!({}))).collect();
    let inputs = bench.play();
    assert_eq!(sizes(&inputs), [100, 100, 50]);
    let sent = inputs.iter().flat_map(|input| input["refunds"]["details"].as_array().unwrap());
    let sent: Vec<String> = sent.map(|entry| entry["aliases"][0]["aliasId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sent, (0..250).map(|number| format!("R-{number}")).collect::<Vec<_>>());
    assert!(all.iter().all(|no| bench.status(*no) == Some(Status::Delivered) && bench.attempts[no] == 1));
}

#[test]
fn a_mutation_has_at_most_a_quarter_of_a_mebibyte_unless_one_entry_is_larger() {
    let payer = |kilobytes: usize| json!({"contact": {"emailData": {"name": "x".repeat(kilobytes * 1024)}}});
    let paid = |kilobytes: usize| {
        json!({"payments": [{"id": "a", "amount": usd("1.00"), "payer": payer(kilobytes),
        "method": {"type": "CARD", "display": "V"}}]})
    };
    let mut bench = Bench::new();
    // Their sizes in KiB, and how they are joined.
    for kilobytes in [100, 100, 100, 20, 600, 1, 1] {
        let id = bench.taken.to_string();
        refund(&mut bench, &id, paid(kilobytes));
    }
    let inputs = bench.play();
    assert_eq!(sizes(&inputs), [2, 2, 1, 2]);
    assert!(inputs.iter().all(|input| sizes(std::slice::from_ref(input)) == [1] || input.to_string().len() <= 256 * 1024));
    assert_eq!(bench.ended.len(), 7);
}

#[test]
fn what_a_request_may_name_only_once_goes_in_the_next() {
    // One alias of two refunds, under whatever type.
    let mut bench = Bench::new();
    let both = [
        refund(&mut bench, "A", json!({"aliases": [{"type": "D", "id": "1"}]})),
        refund(&mut bench, "B", json!({})),
        refund(&mut bench, "C", json!({"aliases": [{"type": "E", "id": "1"}]})),
    ];
    assert_eq!(sizes(&bench.play()), [2, 1]);
    assert_eq!(both.map(|no| bench.status(no)), [Some(Status::Delivered); 3]);
    // A package that an order event and its shipment both give an alias.
    let mut bench = Bench::new();
    bench.event("order", json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "D", "id": "1"}]}]}));
    bench.event("shipment", json!({"shipment": {"id": "SH"}, "package": {"bwpId": "pk-1"}, "state": "IN_TRANSIT"}));
    let inputs = bench.play();
    assert_eq!(
        inputs.iter().map(|input| input["packageInformation"]["details"].as_array().unwrap().len()).collect::<Vec<_>>(),
        [1, 1]
    );
}

/// Three refunds go together. What was said of the mutation, and which of them the read shows: how each ends, with the mutations sent
/// for it, and what goes afterwards, one by one.
#[test]
fn the_parts_of_a_joined_mutation_are_read_and_settled_one_by_one() {
    let shown = |ids: &[&str]| {
        let one = |id: &&str| {
            json!({"id": format!("r-{id}"), "state": "SUCCESS", "aliases": [alias("EXTERNAL_REFUND_ID", id)],
            "refundTotal": {"totalAmount": {"amount": 1.0, "currencyCode": "USD"}}})
        };
        json!({"id": "322-A", "refunds": {"details": ids.iter().map(one).collect::<Vec<_>>()}})
    };
    type Case = (&'static str, &'static [&'static str], [&'static str; 3], &'static [&'static str]);
    let cases: [Case; 9] = [
        ("refused", &[], ["DELIVERED 2", "DEAD Bad 2", "DELIVERED 2"], &["A", "B", "C"]),
        ("refused", &["A", "B", "C"], ["CONFIRMED 1", "CONFIRMED 1", "CONFIRMED 1"], &[]),
        ("refused", &["A", "C"], ["CONFIRMED 1", "DEAD Bad 2", "CONFIRMED 1"], &["B"]),
        ("no answer", &[], ["DELIVERED 2", "DEAD Bad 2", "DELIVERED 2"], &["A", "B", "C"]),
        ("no answer", &["B"], ["DELIVERED 2", "CONFIRMED 1", "DELIVERED 2"], &["A", "C"]),
        ("unclear", &["B", "C"], ["DELIVERED 2", "CONFIRMED 1", "CONFIRMED 1"], &["A"]),
        ("unclear", &["A", "B", "C"], ["CONFIRMED 1", "CONFIRMED 1", "CONFIRMED 1"], &[]),
        ("not found", &["A"], ["CONFIRMED 1", "DEAD Bad 2", "DELIVERED 2"], &["B", "C"]),
        ("not found", &[], ["DELIVERED 2", "DEAD Bad 2", "DELIVERED 2"], &["A", "B", "C"]),
    ];
    for (said, ids, expected, alone) in cases {
        let mut bench = Bench::new();
        let events = ["A", "B", "C"].map(|id| refund(&mut bench, id, json!({})));
        assert_eq!(bench.begin().parts.len(), 3);
        match said {
            "refused" => bench.refused("Bad"),
            "no answer" => bench.lost(),
            "unclear" => bench.unknown(true),
            _ => bench.not_found(),
        }
        bench.pass(TimeDelta::seconds(if said == "no answer" { 8 } else { 0 }));
        bench.reads(shown(ids));
        let mut sent = Vec::new();
        while let bwp_sync::plan::Next::Send(draft) = bench.turn() {
            bench.lane.begin(&draft, bench.now);
            let details = &parsed(&draft.variables)["input"]["refunds"]["details"];
            assert_eq!(details.as_array().unwrap().len(), 1, "one by one");
            let id = details[0]["aliases"][0]["aliasId"].as_str().unwrap().to_owned();
            if id == "B" {
                bench.refused("Bad")
            } else {
                bench.lane.accepted(&Default::default(), bench.now)
            }
            sent.push(id);
        }
        let ends = events.map(|no| {
            let code = if bench.code(no).is_empty() { String::new() } else { format!(" {}", bench.code(no)) };
            format!("{}{code} {}", bench.status(no).unwrap().as_str(), bench.attempts[&no])
        });
        assert_eq!(
            (ends, sent),
            (expected.map(str::to_owned), alone.iter().map(|id| (*id).to_owned()).collect()),
            "{said} {ids:?}"
        );
    }
}

#[test]
fn a_return_has_two_aliases_at_most_and_one_that_brings_more_costs_no_other() {
    let mut bench = Bench::new();
    let lines = || json!({"state": "CREATED", "lines": [line("L-1", 1)]});
    let fits = bench.event("return", with(lines(), json!({"return": {"id": "A"}, "aliases": [{"type": "D", "id": "1"}]})));
    // As the configuration names it, its own alias is a third one.
    let own = json!({"alias": {"type": "EXTERNAL-RETURN-ID", "id": "B"}});
    let listed = json!([{"type": "D", "id": "2"}, {"type": "EXTERNAL-RETURN-ID", "id": "B"}]);
    let same = bench.event("return", with(lines(), json!({"return": own, "aliases": listed})));
    let inputs = bench.play();
    assert_eq!(
        inputs[0]["returns"]["details"].as_array().unwrap().iter().map(|entry| entry["aliases"].as_array().unwrap().len()).max(),
        Some(2)
    );
    assert_eq!([fits, same].map(|no| bench.status(no)), [Some(Status::Delivered); 2]);
}

#[test]
fn a_long_backlog_is_looked_at_as_far_as_its_next_mutation_needs() {
    let mut bench = Bench::new();
    bench.rules.coalesce = Coalesce::Off;
    let unknown = refund(&mut bench, "unknown", json!({"lines": [{"line": {"id": "L-404"}, "quantity": 1}]}));
    let behind = refund(&mut bench, "unknown", json!({}));
    let due: Vec<EventNo> = (0..10).map(|n| refund(&mut bench, &format!("R-{n}"), json!({}))).collect();
    bench.rules.blind = true;
    assert!(matches!(bench.turn(), Next::Send(_)));
    let seen = |bench: &Bench| bench.standings.keys().copied().collect::<Vec<_>>();
    assert_eq!(seen(&bench), [unknown, behind, due[0]], "those that wait, and the first that does not");
    bench.play();
    assert!(due.iter().all(|no| bench.status(*no) == Some(Status::Delivered)));
    assert_eq!(seen(&bench), [unknown, behind]);
    assert_eq!([unknown, behind].map(|no| bench.status(no)), [None, None]);
}

#[test]
fn parts_of_a_package_are_looked_at_together_however_many_things_are_due_between_them() {
    let mut bench = Bench::new();
    bench.rules.coalesce = Coalesce::Off;
    bench.rules.environment = Environment::Sandbox;
    let part = |id: &str| json!({"shipment": {"id": id}, "package": {"bwpId": "pk-1"}, "state": "IN_TRANSIT", "lines": [line("L-1", 1)]});
    let first = bench.event("shipment", part("S-1"));
    (0..50).for_each(|n| _ = refund(&mut bench, &format!("R-{n}"), json!({})));
    let second = bench.event("shipment", part("S-2"));
    // The parts have to be read first, so the first of what is due is looked at, too.
    bench.turn();
    assert_eq!(bench.standings.keys().copied().collect::<Vec<_>>(), [first, first + 1, second]);
}

#[test]
fn one_read_asks_for_all_names_of_a_backlog() {
    let mut bench = Bench::new();
    bench.rules.coalesce = Coalesce::Off;
    for n in 0..20 {
        refund(&mut bench, &format!("W-{n}"), json!({"lines": [{"line": {"id": format!("X-{n}")}, "quantity": 1}]}));
        refund(&mut bench, &format!("R-{n}"), json!({}));
    }
    let Next::Read { questions, .. } = bench.turn() else { panic!("names are missing") };
    assert_eq!(questions.len(), 20);
}
