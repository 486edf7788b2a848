//! Returns: created once, then completed or cancelled; both ends are final.

use super::effect::{Effect, ReturnEffect};
use super::json::{self, AliasInput, LineAmounts};
use super::outcome::Reason;
use super::step::{Context, Entry, Mutation, Plan};
use super::subject::Name;
use super::thing::ReturnHeld;
use super::wanted::{Member, Members, ReturnWanted};
use crate::event::{Alias, AliasKind, Initiator, ReturnState};
use serde::Serialize;
use std::collections::BTreeSet;

/// The API's limit of aliases on one return (`ReturnDetailsInput`).
const MOST_ALIASES: usize = 2;

/// The code where lines changed after the return was created.
pub const LINES_FIXED: &str = "LINES_FIXED";

/// What is to be done for a return.
pub fn plan(context: &Context, name: &Name, wanted: &ReturnWanted, held: &ReturnHeld) -> Plan {
    if wanted.initiator.as_ref().is_some_and(|initiator| initiator.value == Initiator::Bwp) {
        return done("BWP_RETURN", "a return that Buy with Prime created is never written back");
    }
    let Some(state) = &wanted.state else { return done("NOTHING_NEW", "no snapshot of the return is left") };
    if let Some(end) = held.state.filter(|held| is_final(*held) && *held != state.value && state.holder.is_some()) {
        let message = format!("the return is {}, which is final; it cannot become {}", end.as_str(), state.value.as_str());
        let reason = Reason::contradiction("FINAL_STATE", message).at("/data/state");
        return Plan::Dead { reason, members: Members::from([Member::State]) };
    }
    let full: Vec<Alias> = match &wanted.aliases {
        Some(aliases) => aliases.value.clone(),
        None => name.alias().cloned().into_iter().collect(),
    };
    if full.len() > MOST_ALIASES {
        let message = format!("{} aliases with the return's own; Buy with Prime keeps at most {MOST_ALIASES}", full.len());
        let reason = Reason::contradiction("TOO_MANY_ALIASES", message).at("/data/aliases");
        return Plan::Dead { reason, members: Members::from([Member::Aliases]) };
    }
    let bwp_id = match name {
        Name::Bwp(id) => Some(id.as_str()),
        Name::Alias(_) => context.names.resolve(AliasKind::Return, name),
    };
    if held.exists || bwp_id.is_some() {
        update(context, name, bwp_id, wanted, held, state.value)
    } else {
        create(context, wanted, state.value, full)
    }
}

fn create(context: &Context, wanted: &ReturnWanted, state: ReturnState, aliases: Vec<Alias>) -> Plan {
    let members = Members::from([Member::State, Member::Lines, Member::Aliases, Member::Initiator]);
    if state == ReturnState::Cancelled {
        let effect = ReturnEffect { state: Some(state), ..ReturnEffect::default() };
        let note = Reason::nothing("NEVER_CREATED", "the return was cancelled before Buy with Prime heard of it");
        return Plan::Done { note, effect: Some(Effect::Return(effect)) };
    }
    let Some(lines) = &wanted.lines else {
        let message = "Buy with Prime does not have this return, and no snapshot of it says which lines to create it with";
        let reason = Reason::contradiction("LINES_REQUIRED", message).at("/data/lines");
        return Plan::Dead { reason, members };
    };
    let lines = match context.lines(&lines.value) {
        Ok(lines) => lines,
        Err(plan) => return *plan,
    };
    let items = lines.iter().map(|line| Item { return_for: json::line_amounts(std::slice::from_ref(line)) }).collect();
    let entry = json::text(&Created { aliases: json::aliases(&aliases), return_line_items: items, state: "CREATED" });
    let effect = ReturnEffect {
        create: true,
        state: Some(ReturnState::Created),
        aliases: Some(aliases),
        lines: Some(lines.into_iter().map(|(id, quantity)| (id, quantity.unwrap_or(1))).collect()),
    };
    Plan::Send {
        mutation: Mutation::UpdateOrder,
        entry: Entry::Return(entry),
        effect: Effect::Return(effect),
        step: members,
        outstanding: members,
    }
}

fn update(
    context: &Context,
    name: &Name,
    bwp_id: Option<&str>,
    wanted: &ReturnWanted,
    held: &ReturnHeld,
    state: ReturnState,
) -> Plan {
    let mut effect = ReturnEffect::default();
    let mut outstanding = Members::new();
    let identifier = match (bwp_id, name) {
        (Some(id), _) => Identifier::Id(id),
        (None, Name::Bwp(id)) => Identifier::Id(id),
        (None, Name::Alias(alias)) => Identifier::Alias(still_held(alias, held).into()),
    };
    if state != ReturnState::Created && !held.state.is_some_and(is_final) {
        effect.state = Some(state);
        outstanding.insert(Member::State);
    }
    if let Some(aliases) = &wanted.aliases {
        let list: BTreeSet<Alias> = aliases.value.iter().cloned().collect();
        if held.aliases.as_ref() != Some(&list) {
            effect.aliases = Some(aliases.value.clone());
            outstanding.insert(Member::Aliases);
        }
    }
    if outstanding.is_empty() {
        return nothing_new(context, wanted, held);
    }
    let entry = json::text(&Updated {
        aliases: effect.aliases.as_deref().map(json::aliases),
        return_identifier: identifier,
        state: effect.state.map(ReturnState::as_str),
    });
    let (mutation, step) = (Mutation::UpdateOrder, outstanding);
    Plan::Send { mutation, entry: Entry::Return(entry), effect: Effect::Return(effect), step, outstanding }
}

/// `ReturnDetailsInput` of a return that is created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created<'a> {
    aliases: Vec<AliasInput<'a>>,
    return_line_items: Vec<Item<'a>>,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    return_for: LineAmounts<'a>,
}

/// `ReturnDetailsInput` of a return that is there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Updated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aliases: Option<Vec<AliasInput<'a>>>,
    return_identifier: Identifier<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

/// How a return is named.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Identifier<'a> {
    Id(&'a str),
    Alias(AliasInput<'a>),
}

/// The alias that names a return now: its list may have been replaced since it was first named.
fn still_held<'a>(alias: &'a Alias, held: &'a ReturnHeld) -> &'a Alias {
    let others = held.aliases.as_ref().filter(|aliases| !aliases.contains(alias));
    others.and_then(|aliases| aliases.first()).unwrap_or(alias)
}

fn nothing_new(context: &Context, wanted: &ReturnWanted, held: &ReturnHeld) -> Plan {
    let lines = wanted.lines.as_ref().filter(|lines| lines.holder.is_some());
    let lines = lines.and_then(|lines| context.lines(&lines.value).ok());
    let changed = lines.zip(held.lines.as_ref()).is_some_and(|(now, then)| {
        let now = now.into_iter().map(|(id, quantity)| (id, quantity.unwrap_or(1))).collect();
        *then != now
    });
    if changed {
        done(LINES_FIXED, "the lines changed, but Buy with Prime takes the lines of a return only when it is created")
    } else {
        done("ALREADY_HELD", "Buy with Prime already holds the return as it is wanted")
    }
}

fn done(code: &str, message: &str) -> Plan {
    Plan::Done { note: Reason::nothing(code, message), effect: None }
}

const fn is_final(state: ReturnState) -> bool {
    matches!(state, ReturnState::Cancelled | ReturnState::Completed)
}
