//! A replica whose steps a test takes one by one: a claim, the call, the settle; and what may happen to it between them.

use crate::shop::Shop;
use bwp_sync::dispatch::Dispatcher;
use bwp_sync::dispatch::attempt::{Ended, attempt};
use bwp_sync::dispatch::place::Place;
use bwp_sync::ledger::settle::{Hold, Settlement};
use bwp_sync::ledger::{ClaimRequest, Claimed, Ledger};
use bwp_sync::plan::{Lane, Next};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// An order that the replica has leased, and how far it is with it.
pub enum Held {
    /// The intent stands in the ledger, nothing has been sent.
    Claimed(Box<Claimed>),
    /// The answer is there and is not written.
    Ended(Box<Settlement>),
}

pub struct Replica {
    dispatcher: Dispatcher,
    slots: Arc<Semaphore>,
    pub held: Vec<Held>,
}

impl Replica {
    pub fn of(shop: &Shop) -> Replica {
        Replica::with(shop, shop.ledger.clone())
    }

    /// One with connections of its own.
    pub fn with(shop: &Shop, ledger: Ledger) -> Replica {
        let dispatcher = Dispatcher { ledger, ..shop.dispatcher() };
        Replica { dispatcher, slots: Arc::new(Semaphore::new(64)), held: Vec::new() }
    }

    /// Leases what is due.
    pub async fn claim(&mut self) {
        let Dispatcher { ledger, targets, alias_types, lease, request_timeout, .. } = &self.dispatcher;
        let (rules, timeout) = (targets["default"].rules(), TimeDelta::from_std(*request_timeout).unwrap());
        let decide = |lane: &mut Lane, now: DateTime<Utc>| {
            let turn = lane.turn(&rules, now);
            if let Next::Send(draft) = &turn.next {
                lane.begin(draft, now + timeout);
            }
            turn
        };
        let request = ClaimRequest { target: "default".into(), limit: 8, lease: *lease };
        let claims = ledger.claim(&request, alias_types, decide).await.unwrap();
        assert_eq!(claims.parked, 0);
        self.held.extend(claims.lanes.into_iter().map(|claimed| Held::Claimed(Box::new(claimed))));
    }

    /// Makes the call of one of the orders that it holds, where that is what comes next.
    pub async fn call(&mut self, at: usize) {
        let Some(Held::Claimed(_)) = self.held.get(at) else { return };
        let Held::Claimed(claimed) = self.held.remove(at) else { return };
        let slot = Arc::clone(&self.slots).acquire_owned().await.unwrap();
        let place = Place::take(slot, &self.slots, &self.dispatcher.targets["default"], claimed.id);
        if let Some(Ended { mut settlement, .. }) = attempt(&self.dispatcher, *claimed, place).await {
            settlement.may_go_on = false;
            self.held.push(Held::Ended(Box::new(settlement)));
        }
    }

    /// Writes what came of a call, where there was one. Tells whether its lease still stood.
    pub async fn settle(&mut self, at: usize) -> Option<bool> {
        let Some(Held::Ended(_)) = self.held.get(at) else { return None };
        let Held::Ended(settlement) = self.held.remove(at) else { return None };
        let Dispatcher { ledger, alias_types, lease, request_timeout, .. } = &self.dispatcher;
        let hold = Hold { lease: *lease, request_timeout: TimeDelta::from_std(*request_timeout).unwrap() };
        let report = ledger.settle(&mut [*settlement], alias_types, hold).await.unwrap();
        Some(report.stale == 0)
    }

    /// Claims what is due, and does it.
    pub async fn turn(&mut self) {
        self.claim().await;
        let count = self.held.len();
        for _ in 0..count {
            self.call(0).await;
        }
        while !self.held.is_empty() {
            self.settle(0).await;
        }
    }

    fn lane(&self, at: usize) -> Option<i64> {
        match self.held.get(at)? {
            Held::Claimed(claimed) => Some(claimed.id),
            Held::Ended(settlement) => Some(settlement.claimed.id),
        }
    }

    /// The time of a lease is over, of which the replica knows nothing: it has died, or it hangs where `is_alive`. The order is not made to
    /// rest for it. One that has not sent
    /// yet has died: no call begins after its lease.
    pub async fn lose(&mut self, shop: &Shop, at: usize, is_alive: bool) {
        let Some(lane) = self.lane(at) else { return };
        let expire = "UPDATE lane SET next_at = now(), touches = 0 WHERE id = $1 AND is_leased";
        sqlx::query(expire).bind(lane).execute(&shop.database.pool().await).await.unwrap();
        if !is_alive || matches!(self.held[at], Held::Claimed(_)) {
            self.held.remove(at);
        }
    }
}
