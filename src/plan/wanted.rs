//! What is wanted of a thing: member by member, what the newest snapshot that has the member says.

use super::rank::{EventNo, Rank, Ranked};
use crate::event::{
    Alias, Discount, ExecutionState, Initiator, Line, Milestone, Money, OrderLine, OrderLink, OrderPackage, OrderSnapshot,
    Payment, Reference, RefundSnapshot, RefundState, RefundStatusReason, ReturnSnapshot, ReturnState, ShipmentSnapshot,
    ShipmentState, Tracking,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The members that snapshots can have, over all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the member of the contract's data with that name")]
pub enum Member {
    State,
    Total,
    RequestReason,
    StatusReason,
    Aliases,
    Lines,
    Payments,
    Initiator,
    Package,
    Tracking,
    Milestone,
    ExecutionState,
    TotalPrice,
    Taxes,
    Discount,
    Links,
}

/// A set of members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members(u32);

impl Members {
    /// None.
    pub fn new() -> Members {
        Members::default()
    }

    /// Takes one in.
    pub fn insert(&mut self, member: Member) {
        self.0 |= 1 << member as u32;
    }

    /// Whether one is among them.
    pub fn contains(self, member: Member) -> bool {
        self.0 & 1 << member as u32 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those of another set.
    pub fn and(self, others: Members) -> Members {
        Members(self.0 | others.0)
    }
}

impl Extend<Member> for Members {
    fn extend<T: IntoIterator<Item = Member>>(&mut self, members: T) {
        members.into_iter().for_each(|member| self.insert(member));
    }
}

impl<const N: usize> From<[Member; N]> for Members {
    fn from(members: [Member; N]) -> Members {
        let mut set = Members::new();
        set.extend(members);
        set
    }
}

/// Puts a value in where its snapshot is newer than the one that holds the member now.
fn put<T: Clone>(slot: &mut Option<Ranked<T>>, value: Option<&T>, rank: Rank, holder: Option<EventNo>) {
    let Some(value) = value else { return };
    if slot.as_ref().is_none_or(|present| rank.is_newer_than(&present.rank)) {
        *slot = Some(Ranked { value: value.clone(), rank, holder });
    }
}

/// Unites a list with what is there: an entry belongs to the newest snapshot that names it.
fn unite<T: Clone + PartialEq>(slot: &mut Vec<Ranked<T>>, values: Option<&Vec<T>>, rank: Rank, holder: Option<EventNo>) {
    for value in values.into_iter().flatten() {
        match slot.iter_mut().find(|entry| entry.value == *value) {
            Some(entry) if rank.is_newer_than(&entry.rank) => (entry.rank, entry.holder) = (rank, holder),
            Some(_) => {}
            None => slot.push(Ranked { value: value.clone(), rank, holder }),
        }
    }
}

/// The alias that a snapshot names its thing by.
fn own(reference: &Reference) -> Option<&Alias> {
    match reference {
        Reference::Alias(alias) => Some(alias),
        Reference::Id(_) | Reference::BwpId(_) => None,
    }
}

macro_rules! wanted {
    ($(#[$meta:meta])* $name:ident from $snapshot:ty {
        $($field:ident: $type:ty = $member:ident from $get:expr;)*
    } unite { $($list:ident: $entry:ty = $lmember:ident from $lget:expr;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $(#[doc = concat!("The member `", stringify!($field), "`.")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<Ranked<$type>>,)*
            $(#[doc = concat!("The entries of `", stringify!($list), "` over all snapshots.")]
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub $list: Vec<Ranked<$entry>>,)*
        }

        impl $name {
            /// Lays one snapshot over what is there.
            pub fn overlay(&mut self, snapshot: &$snapshot, rank: Rank, holder: Option<EventNo>) {
                $(let get: fn(&$snapshot) -> Option<&$type> = $get;
                put(&mut self.$field, get(snapshot), rank, holder);)*
                $(let get: fn(&$snapshot) -> Option<&Vec<$entry>> = $lget;
                unite(&mut self.$list, get(snapshot), rank, holder);)*
            }

            /// The unsettled events that hold any of these members.
            pub fn holders(&self, members: Members) -> BTreeSet<EventNo> {
                let mut events = BTreeSet::new();
                $(if members.contains(Member::$member) { events.extend(self.$field.iter().filter_map(|held| held.holder)); })*
                $(if members.contains(Member::$lmember) { events.extend(self.$list.iter().filter_map(|held| held.holder)); })*
                events
            }

            /// The unsettled events that hold any member at all.
            pub fn all_holders(&self) -> BTreeSet<EventNo> {
                let mut events = BTreeSet::new();
                $(events.extend(self.$field.iter().filter_map(|held| held.holder));)*
                $(events.extend(self.$list.iter().filter_map(|held| held.holder));)*
                events
            }

            /// Takes over what another record of the same thing holds, newest first.
            pub fn absorb(&mut self, other: Self) {
                $(if let Some(theirs) = other.$field {
                    put(&mut self.$field, Some(&theirs.value), theirs.rank, theirs.holder);
                })*
                $(for theirs in other.$list {
                    unite(&mut self.$list, Some(&vec![theirs.value]), theirs.rank, theirs.holder);
                })*
            }
        }
    };
}

wanted! {
    /// What is wanted of a return.
    ReturnWanted from ReturnSnapshot {
        state: ReturnState = State from |s| Some(&s.state);
        lines: Vec<Line> = Lines from |s| s.lines.as_ref();
        aliases: Vec<Alias> = Aliases from |s| s.aliases.as_ref();
        initiator: Initiator = Initiator from |s| s.initiator.as_ref();
    } unite {}
}

wanted! {
    /// What is wanted of a refund.
    RefundWanted from RefundSnapshot {
        state: RefundState = State from |s| Some(&s.state);
        total: Money = Total from |s| Some(&s.total);
        request_reason: String = RequestReason from |s| s.request_reason.as_ref();
        status_reason: RefundStatusReason = StatusReason from |s| s.status_reason.as_ref();
        own: Alias = Aliases from |s| own(&s.refund);
        aliases: Vec<Alias> = Aliases from |s| s.aliases.as_ref();
        lines: Vec<Line> = Lines from |s| s.lines.as_ref();
        payments: Arc<Vec<Payment>> = Payments from |s| s.payments.as_ref();
        initiator: Initiator = Initiator from |s| s.initiator.as_ref();
    } unite {}
}

wanted! {
    /// What is wanted of a shipment.
    ShipmentWanted from ShipmentSnapshot {
        state: ShipmentState = State from |s| Some(&s.state);
        own: Alias = Aliases from |s| own(&s.shipment);
        package: Reference = Package from |s| s.package.as_ref();
        tracking: Tracking = Tracking from |s| s.tracking.as_ref();
        milestone: Milestone = Milestone from |s| s.milestone.as_ref();
        lines: Vec<Line> = Lines from |s| s.lines.as_ref();
    } unite {}
}

wanted! {
    /// What is wanted of the order itself.
    OrderWanted from OrderSnapshot {
        execution_state: ExecutionState = ExecutionState from |s| s.execution_state.as_ref();
        total_price: Money = TotalPrice from |s| s.total_price.as_ref();
        taxes: Money = Taxes from |s| s.taxes.as_ref();
        discount: Discount = Discount from |s| s.discount.as_ref();
        payments: Arc<Vec<Payment>> = Payments from |s| s.payments.as_ref();
    } unite {
        aliases: Alias = Aliases from |s| s.aliases.as_ref();
        links: OrderLink = Links from |s| s.links.as_ref();
    }
}

wanted! {
    /// What is wanted of a line item.
    LineWanted from OrderLine {
        aliases: Vec<Alias> = Aliases from |s| s.aliases.as_ref();
        taxes: Money = Taxes from |s| s.taxes.as_ref();
        discount: Discount = Discount from |s| s.discount.as_ref();
        payments: Arc<Vec<Payment>> = Payments from |s| s.payments.as_ref();
    } unite {}
}

wanted! {
    /// What is wanted of a package.
    PackageWanted from OrderPackage {
        aliases: Vec<Alias> = Aliases from |s| s.aliases.as_ref();
    } unite {}
}
