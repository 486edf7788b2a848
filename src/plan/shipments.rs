//! Shipments: in the sandbox package states and milestones, one step at a time; in production nothing but their aliases.

use super::effect::{Effect, PackageEffect, ShipmentEffect};
use super::json::{self, AliasInput};
use super::outcome::Reason;
use super::step::{Context, Entry, Environment, Mutation, Plan, Question, name_of};
use super::subject::{Name, Need, Subject};
use super::thing::{Known, PackageHeld, ShipmentHeld};
use super::things::Things;
use super::wanted::{Member, Members, ShipmentWanted};
use crate::event::{AliasKind, CancelReason, Milestone, ShipmentState};
use serde::Serialize;
use serde_json::{Map, json};

/// A shipment among the things of its order.
pub struct Shipment<'a> {
    /// Its name.
    pub name: &'a Name,
    /// What is wanted of it.
    pub wanted: &'a ShipmentWanted,
    /// What is known of it.
    pub held: &'a ShipmentHeld,
    /// All things of the order: packages among them.
    pub things: &'a Things,
    /// Whether other shipments with lines of their own name the same package.
    pub is_part: bool,
}

/// What is to be done for a shipment.
pub fn plan(context: &Context, shipment: &Shipment) -> Plan {
    match context.rules.environment {
        Environment::Production => attach(context, shipment),
        Environment::Sandbox => advance(context, shipment),
    }
}

fn everything() -> Members {
    use Member::{Aliases, Lines, Milestone, Package, State, Tracking};
    Members::from([State, Aliases, Package, Tracking, Milestone, Lines])
}

/// In production: the shipment's own alias, on the package that it is.
fn attach(context: &Context, shipment: &Shipment) -> Plan {
    let own = shipment.wanted.own.as_ref().map(|own| &own.value).or(shipment.name.alias());
    let Some(own) = own else {
        return done("NO_ALIAS", "the shipment is named by Buy with Prime's id: there is no alias to attach");
    };
    let package = match &shipment.wanted.package {
        Some(package) => match context.names.require(AliasKind::Package, &name_of(&package.value)) {
            Ok(id) => Some(id),
            Err(need) => return context.missing(vec![need]),
        },
        None => context.names.require(AliasKind::Package, shipment.name).ok(),
    };
    let package = match (package, &shipment.wanted.tracking) {
        (Some(id), _) => Some(id),
        (None, Some(tracking)) => match tracked(shipment.things, &tracking.value.number) {
            Some(id) => Some(id),
            None => {
                let question = Question::Tracking(tracking.value.number.clone());
                if !context.asked_since(&question, None) {
                    return Plan::Look { questions: vec![question] };
                }
                None
            }
        },
        (None, None) => None,
    };
    let Some(id) = package else {
        return done("NO_PACKAGE", "in production Amazon moves the packages, and none is known to be this shipment");
    };
    let is_held = self::package(shipment.things, &id).is_some_and(|held| held.aliases.contains(own));
    if is_held || context.names.holds(AliasKind::Package, own, &id) {
        return done("ALREADY_HELD", "the package already carries the shipment's alias");
    }
    let entry = Entry::Package(json::text(&Named { aliases: [own.into()], id: &id }));
    let effect = Effect::Package(PackageEffect { package: id, aliases: vec![own.clone()] });
    let (mutation, step) = (Mutation::UpdateOrder, everything());
    Plan::Send { mutation, entry, effect, outstanding: step, step }
}

fn tracked(things: &Things, number: &str) -> Option<String> {
    things.iter().find_map(|(subject, thing)| match (subject, &thing.known) {
        (Subject::Package(Name::Bwp(id)), Known::Package { held, .. })
            if !held.gone && held.tracking_number.as_deref() == Some(number) =>
        {
            Some(id.clone())
        }
        _ => None,
    })
}

/// A package's entry in `updateOrder`: another alias of it.
#[derive(Serialize)]
struct Named<'a> {
    aliases: [AliasInput<'a>; 1],
    id: &'a str,
}

/// What is known of a package.
pub fn package<'a>(things: &'a Things, id: &str) -> Option<&'a PackageHeld> {
    match &things.get(&Subject::Package(Name::Bwp(id.to_owned())))?.known {
        Known::Package { held, .. } => Some(held),
        _ => None,
    }
}

/// In the sandbox: the next step of the package towards what is wanted.
fn advance(context: &Context, shipment: &Shipment) -> Plan {
    let (wanted, held) = (shipment.wanted, shipment.held);
    let Some(state) = &wanted.state else { return done("NOTHING_NEW", "no snapshot of the shipment is left") };
    if state.value == ShipmentState::Pending && wanted.milestone.is_none() {
        return done("PENDING", "a package begins as PENDING; there is nothing to write");
    }
    let named = wanted.package.as_ref().map_or_else(|| shipment.name.clone(), |package| name_of(&package.value));
    let id = match context.names.require(AliasKind::Package, &named) {
        Ok(id) => id,
        Err(need) => return context.missing(vec![need]),
    };
    let is_over = matches!(state.value, ShipmentState::Delivered | ShipmentState::Cancelled(_));
    // What the carrier said before the end is of no use after it; a tracker of a package that has ended takes nothing.
    let milestone = wanted.milestone.as_ref().filter(|milestone| !(is_over && state.rank.is_newer_than(&milestone.rank)));
    let milestone = milestone.map(|milestone| milestone.value);
    let later = later_package(context, shipment, id);
    let read = later.as_deref().and_then(|id| package(shipment.things, id)).filter(|package| package.read_at.is_some());
    let current = match (held.unseen_since, read.and_then(|package| package.state.as_deref())) {
        (None, Some(state)) => Place::parse(state).or(held.state.map(Place::of)),
        _ => held.state.map(Place::of),
    };
    let reached = held.milestone.as_deref() == milestone.map(Milestone::as_str);
    let step = match next(current, state.value, milestone, reached) {
        Ok(Some(step)) => step,
        Ok(None) => return done("ALREADY_HELD", "Buy with Prime has already accepted where the shipment stands"),
        Err(message) if state.holder.is_some() => {
            let reason = Reason::contradiction("INVALID_TRANSITION", message).at("/data/state");
            return Plan::Dead { reason, members: Members::from([Member::State]) };
        }
        Err(_) => return done("ALREADY_HELD", "the package has moved on"),
    };
    if let Some(plan) = not_yet(context, shipment, current) {
        return plan;
    }
    match later {
        Some(id) => send(context, shipment, id, current, step),
        None => Plan::Wait { needs: vec![Need { kind: AliasKind::Package, name: shipment.name.clone() }] },
    }
}

/// Where a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pending,
    InTransit,
    Delivered,
    Cancelled,
}

impl Place {
    fn of(state: ShipmentState) -> Place {
        match state {
            ShipmentState::Pending => Place::Pending,
            ShipmentState::InTransit => Place::InTransit,
            ShipmentState::Delivered => Place::Delivered,
            ShipmentState::Cancelled(_) => Place::Cancelled,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Place::Pending => "PENDING",
            Place::InTransit => "IN_TRANSIT",
            Place::Delivered => "DELIVERED",
            Place::Cancelled => "CANCELLED",
        }
    }

    fn parse(word: &str) -> Option<Place> {
        match word {
            "PENDING" => Some(Place::Pending),
            "IN_TRANSIT" => Some(Place::InTransit),
            "DELIVERED" => Some(Place::Delivered),
            "CANCELLED" => Some(Place::Cancelled),
            _ => None,
        }
    }
}

/// One package mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    State(ShipmentState),
    Tracker(Milestone),
}

/// The step that comes next; a step from an unknown place is taken to be legal.
fn next(
    current: Option<Place>,
    wanted: ShipmentState,
    milestone: Option<Milestone>,
    reached: bool,
) -> Result<Option<Step>, String> {
    use Place::{Cancelled, Delivered, InTransit, Pending};
    let by_tracker = milestone == Some(Milestone::Delivered) && !matches!(wanted, ShipmentState::Cancelled(_));
    let wanted = if by_tracker { ShipmentState::Delivered } else { wanted };
    let to = Place::of(wanted);
    let arrive = if by_tracker { Step::Tracker(Milestone::Delivered) } else { Step::State(wanted) };
    let undeliverable = wanted == ShipmentState::Cancelled(CancelReason::Undeliverable);
    let state = match (current, to) {
        (_, Pending) => None,
        (Some(at), to) if at == to => None,
        (None, _) => Some(arrive),
        (Some(Pending), Delivered) => Some(Step::State(ShipmentState::InTransit)),
        (Some(Pending), Cancelled) if undeliverable => Some(Step::State(ShipmentState::InTransit)),
        (Some(Pending), _) | (Some(InTransit), Delivered) => Some(arrive),
        (Some(InTransit), Cancelled) if undeliverable => Some(arrive),
        (Some(at), _) => {
            return Err(format!("the package is {} at Buy with Prime; it cannot become {}", at.as_str(), wanted.as_str()));
        }
    };
    Ok(state.or_else(|| milestone.filter(|_| !by_tracker && !reached).map(Step::Tracker)))
}

/// What a read has to show before the next step: where the package is, and that the last step has been taken.
fn not_yet(context: &Context, shipment: &Shipment, current: Option<Place>) -> Option<Plan> {
    if context.rules.blind {
        return None;
    }
    let subject = Subject::Shipment(shipment.name.clone());
    if current.is_none() {
        let question = Question::State(subject);
        return (!context.asked_since(&question, None)).then(|| Plan::Look { questions: vec![question] });
    }
    let since = shipment.held.unseen_since?;
    let question = Question::Step(subject);
    let last = context.asked.last(&question).filter(|at| *at >= since);
    match last.map(|at| at + context.rules.sandbox_interval) {
        Some(again) if again > context.now => Some(Plan::Later { at: again }),
        _ => Some(Plan::Look { questions: vec![question] }),
    }
}

/// After a split, a part is the package that holds just its lines; none where that is not known.
fn later_package(context: &Context, shipment: &Shipment, named: String) -> Option<String> {
    let Some(lines) = &shipment.held.split else { return Some(named) };
    if let Some(package) = &shipment.held.package {
        return Some(package.clone());
    }
    if shipment.wanted.package.is_some()
        && let Ok(own) = context.names.require(AliasKind::Package, shipment.name)
    {
        return Some(own);
    }
    if context.rules.blind && !shipment.is_part {
        return Some(named);
    }
    let all: Vec<(&String, &PackageHeld)> =
        packages(shipment.things).filter(|(_, held)| !held.gone && held.lines.as_ref() == Some(lines)).collect();
    let state = shipment.held.state.map(Place::of);
    let stated = all.iter().filter(|(_, held)| held.state.as_deref().and_then(Place::parse) == state);
    let one = if all.len() == 1 { all.first() } else { only(stated) };
    one.map(|(id, _)| (*id).clone())
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

fn packages(things: &Things) -> impl Iterator<Item = (&String, &PackageHeld)> {
    things.iter().filter_map(|(subject, thing)| match (subject, &thing.known) {
        (Subject::Package(Name::Bwp(id)), Known::Package { held, .. }) => Some((id, &**held)),
        _ => None,
    })
}

fn send(context: &Context, shipment: &Shipment, id: String, current: Option<Place>, step: Step) -> Plan {
    let wanted = shipment.wanted;
    let mut effect = ShipmentEffect { package: id.clone(), ..ShipmentEffect::default() };
    let (state_members, milestone_members) =
        ([Member::State, Member::Lines, Member::Package, Member::Aliases], [Member::Milestone, Member::Tracking]);
    let mut outstanding = Members::new();
    if wanted.milestone.is_some() && shipment.held.milestone.as_deref() != wanted.milestone.as_ref().map(|m| m.value.as_str()) {
        outstanding.extend(milestone_members);
    }
    let mut members = Members::new();
    let state = match step {
        Step::State(state) => {
            members.extend(state_members);
            effect.state = Some(state);
            let mut fields = Map::from_iter([("state".to_owned(), json!(state.as_str()))]);
            if let ShipmentState::Cancelled(reason) = state {
                fields.insert("reason".to_owned(), json!(reason.as_str()));
            }
            if splits(shipment, current, state)
                && let Some(lines) = &wanted.lines
            {
                let lines = match context.lines(&lines.value) {
                    Ok(lines) => lines,
                    Err(plan) => return *plan,
                };
                fields.insert("packageInformationDetailsFor".to_owned(), json!(json::line_amounts(&lines)));
                effect.lines = Some(lines.into_iter().map(|(id, quantity)| (id, quantity.unwrap_or(1))).collect());
            }
            json!({"packageInformationState": fields})
        }
        Step::Tracker(milestone) => {
            members.extend(milestone_members);
            effect.milestone = Some(milestone);
            if milestone == Milestone::Delivered {
                members.extend(state_members);
                effect.state = Some(ShipmentState::Delivered);
            }
            let identifier = wanted
                .tracking
                .as_ref()
                .map(|tracking| json!({"trackingNumber": tracking.value.number, "carrierCode": tracking.value.carrier}));
            let latest = json!({"status": {"code": milestone.as_str()}});
            json!({"packageTrackerState": {"packageTrackerIdentifier": identifier, "latestMilestone": latest}})
        }
    };
    outstanding = outstanding.and(members);
    let entry = Entry::Package(json!({"id": id, "packageState": state}).to_string());
    Plan::Send { mutation: Mutation::UpdatePackages, entry, effect: Effect::Shipment(effect), step: members, outstanding }
}

/// Lines go with a step that a pending package can take, and divide it.
fn splits(shipment: &Shipment, current: Option<Place>, state: ShipmentState) -> bool {
    let from_pending = !matches!(
        state,
        ShipmentState::Pending | ShipmentState::Delivered | ShipmentState::Cancelled(CancelReason::Undeliverable)
    );
    from_pending && shipment.held.split.is_none() && matches!(current, None | Some(Place::Pending))
}

fn done(code: &str, message: &str) -> Plan {
    Plan::Done { note: Reason::nothing(code, message), effect: None }
}
