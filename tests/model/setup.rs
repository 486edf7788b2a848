//! What a check is made of: the events, their names, what may go wrong and how often, and which part of the protocol is left out.

/// The most of each that any setup uses. Small numbers are what makes the search exhaustive.
pub const LANES: usize = 2;
/// Events that are different ones.
pub const EVENTS: usize = 3;
/// Rows of work, one for each arrival that counts.
pub const ROWS: usize = 4;
/// Claims that are worked on, or were by somebody who is slow, at one time.
pub const HOLDERS: usize = 3;
/// Mutations of which not all is known yet.
pub const ATTEMPTS: usize = 4;
/// Records on Kafka, and outcomes.
pub const RECORDS: usize = 6;
/// Replicas that publish.
pub const PUBLISHERS: usize = 2;

/// A record on Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// An event, by its identity.
    Event(u8),
    /// A row of the alias table that ties both names.
    Tie,
    /// A row of the alias table by which the first name leads to the second lane from now on.
    Part,
    /// A dead letter, put back with the id of its outcome.
    Letter {
        /// The event.
        event: u8,
        /// The number of the outcome.
        number: u8,
    },
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A process dies with what it holds in memory.
    Crash,
    /// An attempt, or the settling of it, is not done at its deadline: the process is slow or stopped.
    Slow,
    /// The connection breaks after the request has left.
    Reset,
    /// An answer that does not tell whether it was applied.
    Unclear,
    /// Refused for good.
    Refusal,
    /// No byte left: no connection, no token.
    NotSent,
    /// A read that fails.
    ReadFails,
    /// A consumer that died or lost its partition: records are read again from the committed offset.
    Reread,
    /// A publisher that dies, or whose broker does not answer.
    PublisherDies,
    /// A publisher that is slower than its hold on the outbox.
    HoldEnds,
}

/// How order names become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tie {
    /// They do not, or a record says it.
    ByRecord,
    /// Buy with Prime's answer to whatever is asked under one of them.
    ByAnswer,
}

/// A part of the protocol that a broken variant leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A settle does not look at the lease number.
    NoLeaseNumber,
    /// A merge does not raise the lease numbers. Harmless as long as it ends the leases.
    MergeKeepsNumbers,
    /// A merge neither raises the lease numbers nor ends the leases.
    MergeKeepsLeases,
    /// A merge forgets what the lane that goes away had in flight.
    MergeForgetsFlight,
    /// The publisher's cursor moves before the broker has answered.
    CursorFirst,
    /// The work row goes in one transaction, the outcome is recorded in the next.
    OutcomeApart,
    /// What is about to be sent is not written at the claim.
    NoIntent,
    /// The next holder takes what a dead one had in flight as not sent.
    NoCompare,
    /// A read counts although a late request may still apply.
    NoWait,
    /// A request may leave after its deadline.
    SendsLate,
    /// The offset is committed before the records are durable.
    OffsetFirst,
    /// A record that was there before is taken in again.
    DuplicatesTaken,
    /// What arrived while the lane was leased does not make it due when it is released.
    DirtyIgnored,
    /// A holder takes its next turn without a claim although something has arrived since it loaded the lane.
    HoldsOnDirty,
    /// Events of which it is not known what became of them go with their name.
    PartTakesUnknown,
    /// A lane that a name is taken from does not become dirty.
    PartLeavesClean,
    /// A dead letter is a retry whichever outcome it names.
    AnyLetterRetries,
}

/// The size of a check.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What stands on Kafka at the beginning.
    pub records: Vec<Record>,
    /// The name of the order in each event.
    pub names: [u8; EVENTS],
    /// The thing that each event is a snapshot of: the later ones are newer.
    pub things: [u8; EVENTS],
    /// How the two names become one order.
    pub tie: Tie,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// How often something may go wrong in all.
    pub faults_in_all: u8,
    /// How often an operator puts a dead letter back.
    pub letters: u8,
    /// How many replicas publish. Where it is none, outcomes stay in the ledger.
    pub publishers: u8,
    /// Whether lease numbers are kept as they are, instead of only whether they are equal: then a search that ends shows that no
    /// lane can be claimed for ever.
    pub keeps_numbers: bool,
    /// What is left out.
    pub broken: Option<Broken>,
}

impl Setup {
    /// Whether this part is left out.
    pub fn lacks(&self, part: Broken) -> bool {
        self.broken == Some(part)
    }

    /// The events that are snapshots of the same thing, as bits.
    pub fn thing(&self, event: u8) -> u8 {
        let same = |other: &usize| self.things[*other] == self.things[usize::from(event)];
        (0..EVENTS).filter(same).fold(0, |bits, other| bits | 1 << other)
    }

    /// What a snapshot wants: all payments of its thing so far, each named by the event that brought it.
    pub fn wants(&self, event: u8) -> u8 {
        self.thing(event) & ((2 << event) - 1)
    }

    /// The newer snapshots of the same thing.
    pub fn newer(&self, event: u8) -> u8 {
        self.thing(event) & !((2 << event) - 1)
    }
}
