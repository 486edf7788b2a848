//! The orders: where they are found, and how a mutation replaces one version of an order by the next. Knows nothing of HTTP,
//! GraphQL documents, faults or the judge. No lock is held across an await: nothing here is async.

pub(crate) mod input;
mod model;
mod order;
mod packages;
pub(crate) mod refunds;
pub(crate) mod returns;
mod seed;

pub use model::*;
pub(crate) use order::decimal;
pub use seed::{LineSeed, OrderSeed, PackageSeed, PartSeed, RefundSeed, ReturnSeed};

use crate::answer::ApiError;
use crate::options::{AutoOrders, Options};
use input::{Details, OrderIdentifier, UpdateOrder, UpdatePackages};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// One order: its present version.
#[derive(Debug)]
pub(crate) struct Cell {
    pub id: String,
    order: Mutex<Arc<Order>>,
}

/// What a mutation made of an order.
pub(crate) struct Applied {
    pub before: Arc<Order>,
    pub after: Arc<Order>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<String, Arc<Cell>>,
    by_alias: HashMap<Alias, Arc<Cell>>,
}

/// All orders. Locks are taken in this order: index, then one order.
pub(crate) struct Store {
    index: RwLock<Index>,
    auto: Option<AutoOrders>,
    settle: Duration,
    tracker_delay: Duration,
    tracker_limit: u32,
}

/// A lock that outlives a panic of another holder: every version of an order is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cell {
    /// The order as it is now.
    pub fn read(&self) -> Arc<Order> {
        Arc::clone(&self.settled())
    }

    fn settled(&self) -> MutexGuard<'_, Arc<Order>> {
        let mut order = lock(&self.order);
        if order.settling.as_ref().is_some_and(|(at, _)| *at <= Instant::now()) {
            settle(Arc::make_mut(&mut order));
        }
        order
    }
}

/// The planned packages become the packages, with the aliases that were attached meanwhile.
fn settle(order: &mut Order) {
    let Some((_, mut planned)) = order.settling.take() else {
        return;
    };
    for package in &mut planned {
        if let Some(now) = order.packages.iter().find(|it| it.id == package.id)
            && now.aliases != package.aliases
        {
            Arc::make_mut(package).aliases.clone_from(&now.aliases);
        }
    }
    order.packages = planned;
    order.updated_at = now();
}

impl Store {
    pub fn new(options: &Options) -> Self {
        Self {
            index: RwLock::default(),
            auto: options.auto_orders.clone(),
            settle: options.settle,
            tracker_delay: options.tracker_delay,
            tracker_limit: options.tracker_limit,
        }
    }

    /// Adds orders, or none where an id or alias is taken.
    pub fn seed(&self, seeds: Vec<OrderSeed>) -> Result<Vec<String>, ApiError> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let mut ids = Vec::with_capacity(seeds.len());
        for seed in seeds {
            let order = seed.into_order(&now);
            let taken = order.aliases.iter().find(|it| index.by_alias.contains_key(it));
            if index.by_id.contains_key(&order.id) || taken.is_some() {
                return Err(ApiError::validation(
                    "AliasValueAlreadyExists",
                    format!("order {} or its alias {taken:?} exists", order.id),
                ));
            }
            ids.push(order.id.clone());
            index.add(order);
        }
        Ok(ids)
    }

    /// The order that an identifier names; where orders come by themselves, an unknown one is made.
    pub fn find(&self, identifier: &OrderIdentifier) -> Option<Arc<Cell>> {
        let found = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.find(identifier)
        };
        match (&self.auto, found) {
            (Some(auto), None) => self.make(auto, identifier),
            (_, found) => found,
        }
    }

    fn make(&self, auto: &AutoOrders, identifier: &OrderIdentifier) -> Option<Arc<Cell>> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = index.find(identifier) {
            return Some(found);
        }
        let line = |n: usize| LineSeed {
            id: None,
            aliases: vec![Alias::new(&auto.line_alias_type, format!("L-{n}"))],
            quantity: auto.quantity,
            product: None,
        };
        let seed = OrderSeed {
            id: identifier.order_id.clone(),
            aliases: identifier.alias.iter().cloned().collect(),
            lines: (1..=auto.lines).map(line).collect(),
            packages: vec![PackageSeed::default()],
            ..OrderSeed::default()
        };
        Some(index.add(seed.into_order(&now())))
    }

    /// By BwP id, else by alias: of that type, or of any.
    pub fn look_up(&self, id: &str, alias_type: Option<&str>) -> Option<Arc<Cell>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        match alias_type {
            Some(alias_type) => index.by_alias.get(&Alias::new(alias_type, id)).cloned(),
            None => index.by_id.get(id).cloned().or_else(|| {
                let mut named = index.by_alias.iter();
                named.find(|(alias, _)| alias.alias_id == id).map(|(_, cell)| Arc::clone(cell))
            }),
        }
    }

    /// How many orders there are.
    pub fn len(&self) -> usize {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_id.len()
    }

    /// Every order.
    pub fn all(&self) -> Vec<Arc<Cell>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_id.values().cloned().collect()
    }

    /// `updateOrder`
    pub fn update(&self, cell: &Arc<Cell>, input: UpdateOrder) -> Result<Applied, ApiError> {
        let aliases = input.aliases.clone().unwrap_or_default();
        if aliases.is_empty() {
            return replace(cell, |draft| order::update(draft, input, &|_| false, &now()));
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let taken = |alias: &Alias| {
            let owner = index.by_alias.get(alias);
            owner.is_some_and(|it| !Arc::ptr_eq(it, cell))
        };
        let applied = replace(cell, |draft| order::update(draft, input, &taken, &now()))?;
        for alias in aliases {
            index.by_alias.insert(alias, Arc::clone(cell));
        }
        Ok(applied)
    }

    /// `updateOrderPackageInformation`
    pub fn update_packages(&self, cell: &Cell, input: UpdatePackages) -> Result<Applied, ApiError> {
        let entries = Details::into_vec(input.package_information);
        replace(cell, |draft| {
            if draft.settling.is_some() {
                return Err(ApiError::new("ConflictException", None, "the order is being updated"));
            }
            let rules = packages::Rules {
                settled_at: Instant::now() + self.settle,
                tracker_delay: self.tracker_delay,
                tracker_limit: self.tracker_limit,
            };
            let planned = packages::plan(draft, &entries, &rules, &now())?;
            draft.settling = Some((rules.settled_at, planned));
            draft.accepted += 1;
            if self.settle.is_zero() {
                settle(draft);
            }
            Ok(())
        })
    }
}

/// All or nothing: the draft takes the order's place only if the change succeeds.
fn replace(cell: &Cell, change: impl FnOnce(&mut Order) -> Result<(), ApiError>) -> Result<Applied, ApiError> {
    let mut order = cell.settled();
    let before = Arc::clone(&order);
    let mut draft = (*before).clone();
    change(&mut draft)?;
    let after = Arc::new(draft);
    *order = Arc::clone(&after);
    Ok(Applied { before, after })
}

impl Index {
    fn find(&self, identifier: &OrderIdentifier) -> Option<Arc<Cell>> {
        match (&identifier.order_id, &identifier.alias) {
            (Some(id), None) => self.by_id.get(id).cloned(),
            (None, Some(alias)) => self.by_alias.get(alias).cloned(),
            _ => None,
        }
    }

    fn add(&mut self, order: Order) -> Arc<Cell> {
        let cell = Arc::new(Cell { id: order.id.clone(), order: Mutex::new(Arc::new(order)) });
        for alias in &lock(&cell.order).aliases {
            self.by_alias.insert(alias.clone(), Arc::clone(&cell));
        }
        self.by_id.insert(cell.id.clone(), Arc::clone(&cell));
        cell
    }
}

pub(crate) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A random UUID without a call of the system: ids here need to differ, not to be secret.
fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid()
}

/// Line items, returns, return lines, packages and tokens.
pub(crate) fn new_id() -> String {
    uuid().to_string()
}

/// Refund ids are 64 hex digits.
pub(crate) fn new_refund_id() -> String {
    format!("{}{}", uuid().simple(), uuid().simple())
}

/// Order ids look like `322-ABC1-AAAAAA`.
pub(crate) fn new_order_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digits: String =
        uuid().as_bytes()[..10].iter().map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect();
    format!("322-{}-{}", &digits[..4], &digits[4..])
}
