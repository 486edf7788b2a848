//! One state of everything: the ledger, who holds what in memory, what is on its way, Buy with Prime, Kafka.

use crate::setup::{ATTEMPTS, EVENTS, Fault, HOLDERS, LANES, PUBLISHERS, RECORDS, ROWS, Record, Setup};

/// A short list that is copied as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct List<T, const N: usize> {
    places: [Option<T>; N],
    length: u8,
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        List { places: [const { None }; N], length: 0 }
    }
}

impl<T: Copy, const N: usize> List<T, N> {
    /// None where it is full: what would make it longer cannot happen then.
    pub fn push(&mut self, item: T) -> Option<()> {
        *self.places.get_mut(usize::from(self.length))? = Some(item);
        self.length += 1;
        Some(())
    }

    pub fn len(&self) -> u8 {
        self.length
    }

    pub fn get(&self, place: u8) -> Option<T> {
        self.places.get(usize::from(place)).copied().flatten()
    }

    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.places.into_iter().flatten()
    }
}

/// A set of small numbers.
pub type Bits = u8;

/// Whether a number is in a set.
pub fn has(bits: Bits, number: u8) -> bool {
    bits >> number & 1 == 1
}

/// The numbers in a set.
pub fn each(bits: Bits) -> impl Iterator<Item = u8> {
    (0..8).filter(move |number| has(bits, *number))
}

/// A row of `lane`, with its memo and what is known of its things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lane {
    pub lease_no: u8,
    pub is_leased: bool,
    pub is_lease_over: bool,
    pub is_dirty: bool,
    pub due: Due,
    pub intents: Intents,
    /// Payments that Buy with Prime is known to hold.
    pub held: Bits,
    /// Snapshots that are settled and not refused.
    pub folded: Bits,
    pub merged_into: Option<u8>,
}

/// `next_at` of a lane that is not leased. Waiting for a retry counts as being due: time passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Due {
    #[default]
    Never,
    Now,
    /// When a read can tell what became of what is open.
    WhenTold,
}

/// What is in flight or unknown. Two only where lanes were merged.
pub type Intents = [Option<Intent>; 2];

/// A mutation that is in flight or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intent {
    pub attempt: u8,
    pub stands: Stands,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stands {
    InFlight,
    NoAnswer,
    Unclear,
}

/// A row of `work`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    pub event: u8,
    pub lane: u8,
    pub is_dead: bool,
    pub outcomes: u8,
    pub progress: Progress,
}

/// What has become of an event so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Progress {
    pub delivered: bool,
    pub confirmed: bool,
    pub refused: bool,
}

/// A row of `history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// None for a row of the alias table.
    pub event: Option<u8>,
    pub number: u8,
    pub status: Status,
}

/// How an event ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Delivered,
    Confirmed,
    Superseded,
    NothingToSend,
    Dead,
}

/// The running totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tally {
    pub read: u8,
    pub duplicates: u8,
    pub finals: u8,
}

/// Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ledger {
    pub lanes: [Lane; LANES],
    pub work: [Option<Row>; ROWS],
    /// The event of each number that was given.
    pub arrivals: List<u8, ROWS>,
    /// Identities that were taken in; the last bit is that of the tie.
    pub seen: Bits,
    pub history: List<Outcome, RECORDS>,
    pub tally: Tally,
    pub cursor: u8,
    pub outbox: Option<u8>,
    /// Whether the first name leads to the second lane.
    pub is_parted: bool,
}

/// A lane as its holder has it in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct View {
    pub live: Bits,
    pub progress: [Progress; ROWS],
    pub intents: Intents,
    pub held: Bits,
    pub folded: Bits,
}

/// A claim that somebody works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    pub lane: u8,
    pub lease_no: u8,
    pub view: View,
    /// The mutation that it was claimed for; none where it was for a read.
    pub job: Option<u8>,
    pub step: Step,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// About to send.
    Claimed,
    /// It waits for the answer.
    Sent,
    /// About to read.
    Reading,
    /// What came of it is in the view; an answer told the order's names, or there was none.
    Answered { named: bool },
    /// Only where the outcome is recorded apart: these are still to be recorded.
    HalfSettled([Option<Outcome>; ROWS]),
}

/// A mutation, as nobody but the judge sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    pub no: u8,
    pub event: u8,
    pub lane: u8,
    pub payments: Bits,
    pub phase: Phase,
    pub wire: Wire,
}

/// How old it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before its deadline.
    Fresh,
    /// After it: no byte leaves any more, but what has left may still apply.
    Ended,
    /// Nothing of it can apply any more.
    Quiet,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    Unsent,
    OnTheWay,
    Answering(Answer),
    Over,
}

/// What Buy with Prime says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Accepted,
    Refused,
    Unclear,
}

/// A page that is being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page {
    pub at: u8,
    pub to: u8,
}

/// What the judge remembers, and what it has seen that must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Judge {
    /// Payments that were sent, and that nobody has learned since not to have been applied.
    pub perhaps_applied: Bits,
    /// Snapshots that were sent and not refused.
    pub sent: Bits,
    /// Offsets of records that are durable.
    pub durable: Bits,
    /// Outcomes that letters have retried, by their place in the history.
    pub retried: Bits,
    pub breaches: [bool; BREACHES],
}

/// What shows only while it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    BlindRepeat,
    TwoInFlight,
    OutOfOrder,
    PublishedOutOfOrder,
    CursorWentBack,
    RetriedTwice,
}

/// How many there are.
pub const BREACHES: usize = 6;

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub ledger: Ledger,
    pub holders: [Option<Holder>; HOLDERS],
    pub attempts: [Option<Attempt>; ATTEMPTS],
    /// How often each payment was applied at Buy with Prime.
    pub applied: [u8; EVENTS],
    pub records: List<Record, RECORDS>,
    /// The next record that is taken in, and the committed offset.
    pub position: u8,
    pub committed: u8,
    pub publishers: [Option<Page>; PUBLISHERS],
    /// Outcomes that are on their topic, as a prefix of the history.
    pub published: u8,
    pub letters: u8,
    /// How much may still go wrong.
    pub faults: u8,
    pub judge: Judge,
}

impl World {
    /// Nothing has happened yet.
    pub fn new(setup: &Setup) -> World {
        let mut records = List::default();
        setup.records.iter().for_each(|record| records.push(*record).unwrap());
        World {
            ledger: Ledger::default(),
            holders: [None; HOLDERS],
            attempts: [None; ATTEMPTS],
            applied: [0; EVENTS],
            records,
            position: 0,
            committed: 0,
            publishers: [None; PUBLISHERS],
            published: 0,
            letters: setup.letters,
            faults: setup.faults_in_all,
            judge: Judge::default(),
        }
    }

    /// It goes wrong, if it still may.
    pub fn suffer(&mut self, setup: &Setup, fault: Fault) -> Option<()> {
        self.faults = self.faults.checked_sub(1).filter(|_| setup.faults.contains(&fault))?;
        Some(())
    }

    /// The event of a row, also where it is gone.
    pub fn event(&self, no: u8) -> u8 {
        self.ledger.arrivals.get(no).unwrap()
    }

    pub fn attempt(&self, number: u8) -> Option<&Attempt> {
        self.attempts[usize::from(number)].as_ref()
    }

    /// What Buy with Prime holds.
    pub fn at_bwp(&self) -> Bits {
        (0..EVENTS).filter(|payment| self.applied[*payment] > 0).fold(0, |bits, payment| bits | 1 << payment)
    }

    pub fn breach(&mut self, breach: Breach) {
        self.judge.breaches[breach as usize] = true;
    }

    /// Whether the holder's lease still stands.
    pub fn holds(&self, holder: &Holder) -> bool {
        let lane = &self.ledger.lanes[usize::from(holder.lane)];
        lane.is_leased && lane.lease_no == holder.lease_no
    }

    /// All is taken in, settled and published, and nothing is open.
    pub fn is_done(&self, setup: &Setup) -> bool {
        let Ledger { lanes, work, history, cursor, .. } = &self.ledger;
        let is_published = *cursor == history.len() && self.published == history.len();
        self.committed == self.records.len()
            && work.iter().flatten().all(|row| row.is_dead)
            && lanes.iter().all(|lane| !lane.is_leased && lane.intents == [None; 2])
            && (is_published || setup.publishers == 0)
    }
}

impl Ledger {
    /// The lane that a name leads to.
    pub fn lane_of(&self, name: u8) -> u8 {
        let lane = if self.is_parted { 1 } else { name };
        self.order_of(lane)
    }

    /// The lane that a lane is by now.
    pub fn order_of(&self, lane: u8) -> u8 {
        self.lanes[usize::from(lane)].merged_into.unwrap_or(lane)
    }
}
