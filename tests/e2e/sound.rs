//! What every test asks of a ledger, whatever it has just been through.

use bwp_sync::audit::{Facts, Violation, violations};
use bwp_sync::ledger::Ledger;
use bwp_sync::tend::audit::Auditor;
use std::time::Duration;

/// All that is wrong with a ledger: its totals, kind by kind, and its lanes. Whether lanes are taken up in time is not looked at.
pub async fn wrong(ledger: &Ledger) -> Vec<Violation> {
    let account = ledger.account().await.unwrap();
    assert_eq!(account.totals.imbalance(), account.balances.iter().map(|balance| balance.imbalance()).sum::<i64>());
    let mut wrong = violations(&Facts { balances: account.balances, ..Facts::default() });
    let mut auditor = Auditor::new(ledger.clone(), Vec::new(), Duration::from_secs(3600));
    wrong.extend(auditor.round().await.unwrap());
    wrong
}

/// Nothing is wrong with the ledger.
pub async fn assert_sound(ledger: &Ledger) {
    assert_eq!(wrong(ledger).await, []);
}
