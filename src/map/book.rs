//! One run: events in, in their order, and what became of each.

use super::line::{Line, Status, Told};
use super::orders::Orders;
use super::{Settings, Targets};
use crate::config::Coalesce;
use crate::event::{self, AliasRow, Data, Event, Identity, Reading};
use crate::plan::lane::Live;
use crate::plan::outcome::{Class, Reason};
use crate::plan::rank::EventNo;
use std::collections::{BTreeMap, HashSet};

/// Events, the orders that they speak of, and what has become of them so far.
pub struct Book {
    settings: Settings,
    imported: Vec<AliasRow>,
    targets: BTreeMap<String, Orders>,
    seen: HashSet<Identity>,
    taken: EventNo,
    lines: Vec<Line>,
}

impl Book {
    /// An empty book; the rows of the alias table hold for every target.
    pub fn new(settings: Settings, imported: Vec<AliasRow>) -> Book {
        let (targets, seen) = (BTreeMap::new(), HashSet::new());
        Book { settings, imported, targets, seen, taken: 0, lines: Vec::new() }
    }

    /// Takes in the text of one event.
    pub fn take(&mut self, text: &[u8]) {
        match event::read_structured(text) {
            Reading::Event(event) => self.event(*event),
            Reading::Fault(fault) => self.lines.push(Line::fault(*fault)),
            Reading::Tombstone => {}
        }
    }

    /// What became of the events: what was sent or settled in its order, then what still waits.
    pub fn finish(mut self) -> Vec<Line> {
        let mut waiting = Vec::new();
        for orders in self.targets.values_mut() {
            self.lines.extend(orders.play_all());
            waiting.extend(orders.waiting());
        }
        waiting.sort_by_key(|(no, _)| *no);
        self.lines.extend(waiting.into_iter().map(|(_, line)| line));
        self.lines
    }

    fn event(&mut self, event: Event) {
        let told = Told::from(&event.envelope);
        if !self.seen.insert(event.envelope.identity.clone()) {
            return self.lines.push(Line::of(told, Status::Duplicate, None));
        }
        let target = event.envelope.target.clone();
        let Some(rules) = self.settings.rules(&target) else {
            let reason = unknown_target(&target, &self.settings.targets);
            return self.lines.push(Line::of(told, Status::Dead, Some(reason)));
        };
        self.taken += 1;
        let orders = self.targets.entry(target).or_insert_with(|| Orders::new(rules, &self.imported));
        let touched = match &event.data {
            Data::Alias(row) => {
                let (lane, reason) = orders.row(row, event.envelope.time);
                self.lines.push(Line::of(told, Status::NothingToSend, Some(reason)));
                lane
            }
            _ => orders.event(self.taken, event),
        };
        if self.settings.coalesce == Coalesce::Off {
            self.lines.extend(orders.play(touched));
        }
    }
}

fn unknown_target(target: &str, targets: &Targets) -> Reason {
    let known = match targets {
        Targets::Only(targets) if !targets.is_empty() => targets.keys().cloned().collect::<Vec<_>>().join(", "),
        _ => "none".to_owned(),
    };
    let message = format!("the target {target:?} is not configured (known: {known}); configure it, then retry the event");
    Reason::new(Class::Configuration, "UNKNOWN_TARGET", message).at("/target")
}

impl Orders {
    /// Takes in an event; returns the lane of its order.
    fn event(&mut self, no: EventNo, event: Event) -> super::orders::LaneNo {
        let live = Live::new(no, event, &self.rules.alias_types);
        let name = self.name_of_order(&live.event.data);
        let lane = self.lane_of(&name);
        self.lane(lane).events.insert(no, live);
        lane
    }
}
