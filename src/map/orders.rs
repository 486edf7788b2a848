//! The orders of one target: which names lead to which lane, and the playing of a lane.

use super::line::{Line, Status, Told};
use crate::event::{Alias, AliasKind, AliasRow, Data};
use crate::plan::effect::Effect;
use crate::plan::lane::{Draft, Lane, Live, Settled, Standing};
use crate::plan::names::{NameRow, Origin};
use crate::plan::outcome::{self, Reason};
use crate::plan::rank::EventNo;
use crate::plan::subject::Name;
use crate::plan::{Next, Rules};
use crate::prime::view::OrderView;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One lane of a run.
pub(super) type LaneNo = usize;

/// The moment at which everything is played: nothing depends on how time passes here.
const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The orders of one target.
pub(super) struct Orders {
    pub(super) rules: Rules,
    lanes: BTreeMap<LaneNo, Lane>,
    by_name: HashMap<Name, LaneNo>,
    merged: HashMap<LaneNo, LaneNo>,
    opened: LaneNo,
}

impl Orders {
    pub(super) fn new(rules: Rules, imported: &[AliasRow]) -> Orders {
        let (lanes, by_name, merged) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let mut orders = Orders { rules, lanes, by_name, merged, opened: 0 };
        for row in imported {
            orders.offer(row, Origin::Import, DateTime::<Utc>::MIN_UTC);
        }
        orders
    }

    /// Takes in a row of the alias topic; returns the lane of its order, and why nothing is sent for it.
    pub(super) fn row(&mut self, row: &AliasRow, time: DateTime<Utc>) -> (LaneNo, Reason) {
        let (lane, news) = self.offer(row, Origin::Topic, time);
        let reason = match news {
            true => Reason::nothing("ALIAS_KEPT", "a row of the alias table is kept, not sent"),
            false => Reason::nothing("ALIAS_OLDER", "the alias table already has a newer row"),
        };
        (lane, reason)
    }

    /// The lane of an order, opened where there is none.
    pub(super) fn lane_of(&mut self, name: &Name) -> LaneNo {
        if let Some(mut no) = self.by_name.get(name) {
            while let Some(next) = self.merged.get(no) {
                no = next;
            }
            return *no;
        }
        self.opened += 1;
        let mut lane = Lane::default();
        if let Name::Bwp(id) = name {
            lane.bwp_id = Some(id.clone());
        }
        self.lanes.insert(self.opened, lane);
        self.by_name.insert(name.clone(), self.opened);
        self.opened
    }

    pub(super) fn lane(&mut self, no: LaneNo) -> &mut Lane {
        self.lanes.entry(no).or_default()
    }

    pub(super) fn name_of_order(&self, data: &Data) -> Name {
        self.rules.alias_types.name(AliasKind::Order, &data.order())
    }

    fn offer(&mut self, row: &AliasRow, origin: Origin, time: DateTime<Utc>) -> (LaneNo, bool) {
        let name = self.rules.alias_types.name(AliasKind::Order, &row.order());
        let no = self.lane_of(&name);
        let offered = NameRow { bwp_id: row.bwp_id.clone(), origin, version: row.version, time };
        let lane = self.lane(no);
        let before = lane.names.resolve(row.kind, &Name::Alias(row.alias.clone())).map(str::to_owned);
        if !lane.names.offer(row.kind, row.alias.clone(), offered.clone()) {
            return (no, false);
        }
        if row.kind != AliasKind::Order || before == row.bwp_id {
            return (no, true);
        }
        let mut no = no;
        if before.is_some() {
            no = self.part(no, &row.alias, offered);
        }
        if let Some(id) = &row.bwp_id {
            no = self.tie(no, &Name::Bwp(id.clone()));
        }
        (no, true)
    }

    /// Takes a name out of an order that it no longer stands for, with the events that used it.
    fn part(&mut self, old: LaneNo, alias: &Alias, row: NameRow) -> LaneNo {
        let name = Name::Alias(alias.clone());
        self.by_name.remove(&name);
        let new = self.lane_of(&name);
        let types = self.rules.alias_types.clone();
        let Some(before) = self.lanes.get_mut(&old) else { return new };
        let own = |live: &Live| types.name(AliasKind::Order, &live.event.data.order()) == name;
        let (events, others) = std::mem::take(&mut before.events).into_iter().partition(|(_, live)| own(live));
        before.events = others;
        before.names.load(AliasKind::Order, alias.clone(), NameRow { bwp_id: None, ..row.clone() });
        let names = before.names.iter().filter(|(kind, _, _)| **kind != AliasKind::Order);
        let names: Vec<_> = names.map(|(kind, alias, row)| (*kind, alias.clone(), row.clone())).collect();
        let lane = self.lane(new);
        lane.events = events;
        lane.names.load(AliasKind::Order, alias.clone(), row);
        names.into_iter().for_each(|(kind, alias, row)| lane.names.load(kind, alias, row));
        new
    }

    /// Two names are one order: brings both under one lane.
    fn tie(&mut self, no: LaneNo, name: &Name) -> LaneNo {
        let other = self.lane_of(name);
        if other == no {
            return no;
        }
        let absorbed = self.lanes.remove(&other).unwrap_or_default();
        self.lane(no).absorb(absorbed);
        self.merged.insert(other, no);
        no
    }

    /// Plays every lane until it rests, in the order in which their first events came.
    pub(super) fn play_all(&mut self) -> Vec<Line> {
        let mut lanes: Vec<(EventNo, LaneNo)> =
            self.lanes.iter().filter_map(|(no, lane)| Some((*lane.events.keys().next()?, *no))).collect();
        lanes.sort_unstable();
        lanes.into_iter().flat_map(|(_, no)| self.play(no)).collect()
    }

    /// Plays a lane until it rests.
    pub(super) fn play(&mut self, no: LaneNo) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(lane) = self.lanes.get_mut(&no) {
            let turn = lane.turn(&self.rules, NOW);
            lines.extend(turn.settled.iter().filter_map(|settled| self.ended(settled)));
            let (Next::Send(draft), Some(lane)) = (turn.next, self.lanes.get_mut(&no)) else { break };
            lines.push(Line::send(lane, &draft));
            lane.begin(&draft, NOW);
            lane.accepted(&OrderView::default(), NOW);
            self.tie_accepted(no, &draft);
        }
        lines
    }

    /// The aliases that Buy with Prime has just accepted for an order name it from now on.
    fn tie_accepted(&mut self, no: LaneNo, draft: &Draft) {
        for part in &*draft.parts {
            if let Effect::Order(effect) = &part.effect {
                for alias in &effect.aliases {
                    let name = Name::Alias(alias.clone());
                    match self.by_name.contains_key(&name) {
                        true => _ = self.tie(no, &name),
                        false => _ = self.by_name.insert(name, no),
                    }
                }
            }
        }
    }

    /// The line of an event that ended; none where its mutation is its line.
    fn ended(&self, settled: &Settled) -> Option<Line> {
        let status = match settled.status {
            outcome::Status::Delivered | outcome::Status::Confirmed => return None,
            outcome::Status::Superseded => Status::Superseded,
            outcome::Status::NothingToSend => Status::NothingToSend,
            outcome::Status::Dead | outcome::Status::Discarded => Status::Dead,
            outcome::Status::Quarantined => Status::Quarantined,
        };
        Some(Line::of(Told::from(&settled.live.event.envelope), status, settled.reason.clone()))
    }

    /// The events that are not final, each with its line.
    pub(super) fn waiting(&mut self) -> Vec<(EventNo, Line)> {
        let mut waiting = Vec::new();
        for lane in self.lanes.values_mut() {
            let standings = lane.turn(&self.rules, NOW).standings;
            for (no, standing) in standings {
                let needs = match standing {
                    Standing::Waiting(needs) => needs,
                    Standing::Queued | Standing::Retrying => BTreeSet::new(),
                };
                let Some(live) = lane.events.get(&no) else { continue };
                waiting.push((no, Line::waiting(Told::from(&live.event.envelope), &needs)));
            }
        }
        waiting
    }
}
