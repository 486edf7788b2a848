//! Orders as tests and operators describe them before the simulator knows them.

use super::model::{
    Alias, Amount, ExecutionState, Line, LineAmount, LineRef, Money, Order, Package, PackageState, Refund, RefundFor,
    RefundState, RefundTotal, Return, ReturnFor, ReturnLine, ReturnState, TrackerIdentifier,
};
use super::packages::{empty, holding};
use serde::Deserialize;
use serde_json::Number;
use std::sync::Arc;
use std::time::Instant;

/// An order to begin with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct OrderSeed {
    /// Made up where absent.
    pub id: Option<String>,
    pub aliases: Vec<Alias>,
    #[serde(alias = "lineItems")]
    pub lines: Vec<LineSeed>,
    pub packages: Vec<PackageSeed>,
    pub returns: Vec<ReturnSeed>,
    pub refunds: Vec<RefundSeed>,
    pub execution_state: Option<ExecutionState>,
}

/// A line item to begin with.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LineSeed {
    pub id: Option<String>,
    #[serde(default)]
    pub aliases: Vec<Alias>,
    #[serde(default = "one")]
    pub quantity: u64,
    /// As `LineItem.product` shows it.
    pub product: Option<serde_json_bytes::Value>,
}

fn one() -> u64 {
    1
}

/// So many of a line, by its BwP id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PartSeed {
    pub line: String,
    pub quantity: u64,
}

/// A package to begin with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PackageSeed {
    pub id: Option<String>,
    pub aliases: Vec<Alias>,
    /// Everything of the order where absent.
    pub lines: Option<Vec<PartSeed>>,
    pub state: Option<PackageState>,
    pub tracker: Option<TrackerIdentifier>,
}

/// A return to begin with; made by BwP unless `external`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ReturnSeed {
    pub id: Option<String>,
    pub aliases: Vec<Alias>,
    pub lines: Vec<PartSeed>,
    pub state: Option<ReturnState>,
    pub external: bool,
}

/// A refund to begin with; asked for by BwP unless `external`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RefundSeed {
    pub id: Option<String>,
    pub aliases: Vec<Alias>,
    pub lines: Vec<PartSeed>,
    pub state: Option<RefundState>,
    /// 0 USD where absent.
    pub total: Option<Money>,
    pub reason: Option<String>,
    pub external: bool,
}

impl OrderSeed {
    /// An order with this BwP id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// With an alias.
    #[must_use]
    pub fn alias(mut self, alias_type: &str, alias_id: &str) -> Self {
        self.aliases.push(Alias::new(alias_type, alias_id));
        self
    }

    /// With a line of this BwP id and one alias `EXTERNAL_ITEM_ID`.
    #[must_use]
    pub fn line(mut self, id: &str, alias: &str, quantity: u64) -> Self {
        self.lines.push(LineSeed {
            id: Some(id.to_owned()),
            aliases: vec![Alias::new("EXTERNAL_ITEM_ID", alias)],
            quantity,
            product: None,
        });
        self
    }

    /// With a pending package that holds everything.
    #[must_use]
    pub fn package(mut self, id: &str) -> Self {
        self.packages.push(PackageSeed { id: Some(id.to_owned()), ..PackageSeed::default() });
        self
    }

    pub(crate) fn into_order(self, now: &str) -> Order {
        let lines: Vec<Arc<Line>> = self.lines.into_iter().map(|it| line(it, now)).collect();
        let packages = self.packages.into_iter().map(|it| package(it, &lines));
        Order {
            id: self.id.unwrap_or_else(super::new_order_id),
            execution_state: self.execution_state.unwrap_or(ExecutionState::NotStarted),
            created_at: now.to_owned(),
            updated_at: now.to_owned(),
            aliases: self.aliases,
            order_links: Vec::new(),
            packages: packages.collect(),
            returns: self.returns.into_iter().map(|it| returned(it, now)).collect(),
            refunds: self.refunds.into_iter().map(|it| refund(it, now)).collect(),
            line_items: lines,
            payments: None,
            total_price: None,
            taxes: None,
            discounts: None,
            accepted: 0,
            settling: None,
        }
    }
}

fn line(seed: LineSeed, now: &str) -> Arc<Line> {
    Arc::new(Line {
        id: seed.id.unwrap_or_else(super::new_id),
        amount: Amount::of(Number::from(seed.quantity)),
        aliases: seed.aliases,
        created_at: now.to_owned(),
        product: seed.product,
        payments: None,
        taxes: None,
        discounts: None,
    })
}

fn parts(seeds: Vec<PartSeed>) -> Vec<LineAmount> {
    let part = |seed: PartSeed| LineAmount {
        amount: Some(Amount::of(Number::from(seed.quantity))),
        line_item: LineRef { id: seed.line },
    };
    seeds.into_iter().map(part).collect()
}

fn package(seed: PackageSeed, lines: &[Arc<Line>]) -> Arc<Package> {
    let everything = || {
        let whole =
            |line: &Arc<Line>| LineAmount { amount: Some(line.amount.clone()), line_item: LineRef { id: line.id.clone() } };
        lines.iter().map(whole).collect()
    };
    let state = seed.state.unwrap_or(PackageState::Pending);
    Arc::new(Package {
        id: seed.id.unwrap_or_else(super::new_id),
        state,
        reason: None,
        aliases: seed.aliases,
        package_information_details_for: holding(seed.lines.map_or_else(everything, parts)),
        package_tracker: seed.tracker.as_ref().map(empty),
        tracker_from: (state == PackageState::InTransit).then(Instant::now),
        tracker_updates: 0,
    })
}

fn returned(seed: ReturnSeed, now: &str) -> Arc<Return> {
    Arc::new(Return {
        id: seed.id.unwrap_or_else(super::new_id),
        created_at: now.to_owned(),
        updated_at: now.to_owned(),
        state: seed.state.unwrap_or(ReturnState::Created),
        created_with: seed.aliases.clone(),
        aliases: seed.aliases,
        return_line_items: vec![ReturnLine {
            id: super::new_id(),
            return_for: ReturnFor { order_line_item_amounts: parts(seed.lines) },
        }],
        external: seed.external,
        touched: false,
    })
}

fn refund(seed: RefundSeed, now: &str) -> Arc<Refund> {
    let nothing = || Money { amount: Number::from(0), currency_code: "USD".to_owned() };
    Arc::new(Refund {
        id: seed.id.unwrap_or_else(super::new_refund_id),
        state: seed.state.unwrap_or(RefundState::Pending),
        created_at: now.to_owned(),
        updated_at: now.to_owned(),
        refund_request_reason: seed.reason,
        refund_status_reason: None,
        aliases: seed.aliases,
        refund_total: RefundTotal { total_amount: seed.total.unwrap_or_else(nothing) },
        refund_for: Some(RefundFor { order_line_items: parts(seed.lines) }),
        payment_details: Vec::new(),
        external: seed.external,
        touched: false,
    })
}
