//! `oms.return.v1`: the whole present state of one return.

use super::fault::{FaultCode, Read};
use super::reader::{Object, Value};
use super::vocabulary::vocabulary;
use super::{Alias, Identity, Initiator, Line, Reference};

/// How many aliases Buy with Prime keeps for a return.
const MOST_ALIASES: usize = 2;

/// A return as the merchant's system has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReturnSnapshot {
    /// The order it belongs to.
    pub order: Reference,
    /// Its name; where absent, the name is derived from the event's identity.
    pub reference: Option<Reference>,
    /// The producer's version of this return.
    pub version: Option<u64>,
    /// Where it stands.
    pub state: ReturnState,
    /// What comes back; needed to create it.
    pub lines: Option<Vec<Line>>,
    /// The complete list beside the alias in `reference`; absent means unchanged.
    pub aliases: Option<Vec<Alias>>,
    /// Who opened it; the merchant where absent.
    pub initiator: Option<Initiator>,
}

impl ReturnSnapshot {
    pub(super) fn read(value: Value<'_>, identity: &Identity) -> Read<ReturnSnapshot> {
        let known = ["order", "return", "version", "state", "lines", "aliases", "initiator", "extensions"];
        let object = value.object(&known)?;
        let snapshot = ReturnSnapshot {
            order: object.required("order", Reference::read)?,
            reference: object.optional("return", Reference::read)?,
            version: super::read_version(object)?,
            state: object.required("state", |value| value.one_of(ReturnState::parse, ReturnState::WORDS))?,
            lines: object.optional("lines", Line::read_counted)?,
            aliases: object.optional("aliases", Alias::read_list)?,
            initiator: object.optional("initiator", |value| value.one_of(Initiator::parse, Initiator::WORDS))?,
        };
        super::read_extensions(object)?;
        snapshot.check_aliases(object, identity)?;
        Ok(snapshot)
    }

    /// At most two aliases in all. Under which type an `id` stands only the configuration knows, so it counts as one of its own
    /// only where no alias of the list has that id.
    fn check_aliases(&self, object: Object<'_>, identity: &Identity) -> Read<()> {
        let Some(aliases) = &self.aliases else { return Ok(()) };
        let mut distinct: Vec<&Alias> = Vec::new();
        for alias in aliases {
            if !distinct.contains(&alias) {
                distinct.push(alias);
            }
        }
        let apart = match &self.reference {
            Some(Reference::Alias(own)) => !distinct.contains(&own),
            Some(Reference::Id(id)) => distinct.iter().all(|alias| alias.id != *id),
            Some(Reference::BwpId(_)) => false,
            None => {
                let derived = identity.derived_alias_id();
                distinct.iter().all(|alias| alias.id != derived)
            }
        };
        let in_all = distinct.len() + usize::from(apart);
        if in_all <= MOST_ALIASES {
            return Ok(());
        }
        let message = format!(
            "the return would have {in_all} aliases with the one that names it; Buy with Prime keeps at most {MOST_ALIASES}, so shorten `aliases`"
        );
        Err(object.wrong_member("aliases", FaultCode::TooManyAliases, message))
    }
}

vocabulary! {
    /// Where a return stands: `ReturnStateInput`.
    pub enum ReturnState {
        /// `CREATED`
        Created = "CREATED",
        /// `CANCELLED`
        Cancelled = "CANCELLED",
        /// `COMPLETED`
        Completed = "COMPLETED",
    }
}
