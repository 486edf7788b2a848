//! The points at which a test can end the process, as a crash would: before and after whatever is waited for on an event's way.
//!
//! A point is one line in the source, `fail_point!("claim-committed")`, and nothing at all unless the program is built with the
//! feature `failpoints`. Then `FAILPOINTS=claim-committed=2*off->panic` lets two passes by and ends the process at the third.
//! Within one transaction there is a point after each group of statements, not after each statement.

/// Every point, along the way of an event.
pub const POINTS: &[&str] = &[
    // A record is polled, gathered and handed over.
    "poll-answered",
    "poll-taken",
    "batch-gathered",
    "batch-handed-over",
    "batch-received",
    // One transaction makes it durable.
    "intake-begins",
    "intake-connected",
    "intake-begun",
    "intake-seen",
    "intake-sorted",
    "intake-named",
    "intake-locked",
    "intake-aliased",
    "intake-writes",
    "intake-queued",
    "intake-revived",
    "intake-quarantined",
    "intake-taken-up",
    "intake-due",
    "intake-written",
    "intake-committed",
    "intake-handed-over",
    // In it: rows of the alias table, lanes that become one, letters that come back.
    "alias-merges",
    "alias-merged",
    "alias-orders-written",
    "alias-things-written",
    "merge-locked",
    "merge-loaded",
    "merge-moved",
    "merge-named",
    "merge-things-written",
    "merge-done",
    "retry-retaken",
    "retry-revived",
    "retry-reopened",
    // Then the offset.
    "batch-durable",
    "batch-reported",
    "offset-reported",
    "offset-durable",
    "offset-commits",
    "offset-committed",
    "offset-confirmed",
    "revoke-commits",
    "revoke-committed",
    // Its lane is leased, with the intent.
    "claim-begins",
    "claim-connected",
    "claim-begun",
    "claim-selected",
    "claim-empty",
    "claim-loaded",
    "claim-written",
    "claim-committed",
    "claim-reported",
    // Buy with Prime is called.
    "attempt-admitted",
    "attempt-begins",
    "token-asks",
    "token-heard",
    "token-landed",
    "attempt-authorised",
    "attempt-writes",
    "attempt-heard",
    "attempt-answered",
    "throttle-notes",
    "throttle-noted",
    "attempt-applied",
    // What came of it is written.
    "settle-hands-over",
    "settle-handed-over",
    "settle-gathered",
    "settle-begins",
    "settle-connected",
    "settle-begun",
    "settle-locked",
    "settle-written",
    "settle-committed",
    "settle-reported",
    // How a lane is written, by a claim and by a settle.
    "write-parked",
    "finals-ended",
    "write-led",
    "write-written",
    "tie-named",
    "tie-locked",
    "tie-merged",
    "tie-written",
    // The outcome is published.
    "publish-asks",
    "publish-begins",
    "publish-enqueued",
    "publish-confirmed",
    "publish-outcomes-sent",
    "cursor-moves",
    "cursor-moved",
    // The end, after SIGTERM.
    "drain-begins",
    "drain-written",
    "drain-committed",
    "drain-attempted",
    "drain-settled",
    "drain-published",
    "drain-released",
    "drain-ended",
    "drain-closed",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::POINTS;
    use std::path::Path;

    fn points_in(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points_in(&path, found);
            } else if !path.ends_with("src/crash.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let calls = source.split("fail_point!(").skip(1);
                found.extend(calls.map(|call| call.split(')').next().unwrap().trim_matches('"').to_owned()));
            }
        }
    }

    #[test]
    fn every_point_is_listed_once_and_in_the_source_once() {
        let mut found = Vec::new();
        points_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let mut listed = POINTS.to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
        assert!(listed.windows(2).all(|pair| pair[0] != pair[1]), "a point is listed twice");
    }
}
