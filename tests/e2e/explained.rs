//! What operators did, and names that changed, in the story of an order.

use crate::operators::{a_return, bwp_sync, open, until};
use crate::support::events::{Event, Kind};
use serde_json::json;

fn a_name(id: &str, line: &str) -> serde_json::Value {
    json!({"kind": "LINE_ITEM", "alias": {"type": "EXTERNAL_ITEM_ID", "id": id}, "bwpId": line, "order": {"id": "1001"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_tells_of_imports_pauses_and_names_that_changed() {
    let shop = open(&[]).await;
    let done = async |arguments: &[&str]| {
        let ran = bwp_sync(&shop, arguments).await;
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    };
    // Before the order was heard of: none of its story.
    done(&["pause", "target", "default", "--reason", "long ago"]).await;
    done(&["resume", "target", "default"]).await;
    shop.take(&[a_return("1001", "L-8")]).await;
    until(&shop, "WAITING", 1).await;
    done(&["pause", "target", "default", "--reason", "maintenance"]).await;
    done(&["resume", "target", "default", "--who", "ben"]).await;
    let file = tempfile("names", &a_name("L-8", "line-1"));
    done(&["aliases", "import", &file, "--reason", "forgotten line", "--who", "ann"]).await;
    done(&["aliases", "import", &tempfile("others", &other_order()), "--reason", "another order"]).await;
    until(&shop, "DELIVERED", 1).await;
    shop.take(&[Event::new(Kind::Alias, "a-1", a_name("L-8", "line-9"))]).await;
    until(&shop, "DELIVERED", 1).await;

    let told = bwp_sync(&shop, &["explain", "1001"]).await.out;
    let mut rest = told.as_str();
    for says in [
        " paused target default, because: maintenance",
        "ben resumed target default",
        &format!("ann imported names from {file}, because: forgotten line"),
        "ended DELIVERED",
        "line item EXTERNAL_ITEM_ID L-8 stood for line-1, as an import had said; the alias topic says line-9 instead",
    ] {
        let at = rest.find(says).unwrap_or_else(|| panic!("{says}, in this order: {told}"));
        rest = &rest[at..];
    }
    assert!(!told.contains("long ago") && !told.contains("another order"), "{told}");
    let changes = &bwp_sync(&shop, &["explain", "1001", "--output", "json"]).await.json()[0]["nameChanges"];
    assert_eq!((&changes[0]["oldBwpId"], &changes[0]["newOrigin"]), (&json!("line-1"), &json!("topic")));
}

fn other_order() -> serde_json::Value {
    json!({"kind": "ORDER", "alias": {"type": "EXTERNAL_ID", "id": "elsewhere"}, "bwpId": "B-elsewhere"})
}

/// A file with one row.
fn tempfile(name: &str, row: &serde_json::Value) -> String {
    let path = format!("{}/{name}-{}.jsonl", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, format!("{row}\n")).unwrap();
    path
}
