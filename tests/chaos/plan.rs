//! What is going to happen: the acts, drawn by the seed. Knows nothing of how they are carried out.

use std::time::Duration;

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Where all dice begin.
    pub seed: u64,
    pub orders: usize,
    /// Replicas, when all of them are up.
    pub replicas: usize,
    /// For how long new orders come, and acts are drawn; every kind of act comes at least once, however short it is.
    pub length: Duration,
}

impl Form {
    /// The one of `make test`.
    pub fn short() -> Form {
        Form { seed: seed(), orders: 800, replicas: 2, length: Duration::from_secs(15) }
    }

    /// The one of `make chaos`: as the environment wants it.
    pub fn long() -> Form {
        let replicas = number("REPLICAS", 3).max(1);
        let length = Duration::from_secs(60 * number("MINUTES", 5));
        Form { seed: seed(), orders: number("ORDERS", 10_000) as usize, replicas: replicas as usize, length }
    }
}

fn seed() -> u64 {
    number("SEED", number("BWP_TEST_SEED", fastrand::u64(..)))
}

/// A number from the environment; an empty one counts as absent.
fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).unwrap_or_default();
    if text.is_empty() { otherwise } else { text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")) }
}

/// Something that happens to the fleet, or to a server that it needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// SIGKILL; a new replica comes after a pause.
    Kill,
    /// SIGSTOP for longer than the lease, then SIGCONT.
    Freeze,
    /// SIGSTOP until its leases have just ended: it wakes while others take its lanes over.
    Doze,
    /// SIGTERM, and a new one.
    Replace,
    /// One replica more for a while: the group is rebalanced twice.
    Grow,
    /// Postgres is killed, and started after a pause.
    Postgres,
    /// Kafka is killed, and started after a pause.
    KafkaKilled,
    /// Kafka is stopped in order, and started again.
    KafkaStopped,
    /// The token endpoint fails while all tokens are worth nothing.
    NoToken,
    /// All tokens are worth nothing.
    TokensExpired,
    /// Buy with Prime answers nothing with sense.
    Away,
    /// Buy with Prime cannot be connected to.
    Unreachable,
}

/// What happens to replicas.
pub const TO_REPLICAS: &[Act] = &[Act::Kill, Act::Freeze, Act::Doze, Act::Replace, Act::Grow];
/// What happens to the servers that they need.
pub const TO_SERVERS: &[Act] =
    &[Act::Postgres, Act::KafkaKilled, Act::KafkaStopped, Act::NoToken, Act::TokensExpired, Act::Away, Act::Unreachable];

impl Act {
    /// For the table at the end.
    pub fn name(self) -> &'static str {
        match self {
            Act::Kill => "SIGKILL of a replica, and a new one",
            Act::Freeze => "SIGSTOP for longer than the lease, SIGCONT",
            Act::Doze => "SIGSTOP until the lease has just ended, SIGCONT",
            Act::Replace => "SIGTERM of a replica, and a new one",
            Act::Grow => "one replica more, and one less",
            Act::Postgres => "Postgres killed and started",
            Act::KafkaKilled => "Kafka killed and started",
            Act::KafkaStopped => "Kafka stopped and started",
            Act::NoToken => "token endpoint failing, tokens expired",
            Act::TokensExpired => "tokens expired",
            Act::Away => "Buy with Prime answers nothing with sense",
            Act::Unreachable => "Buy with Prime refuses connections",
        }
    }
}

/// An act, with all that the dice say of it.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    pub act: Act,
    /// Before it.
    pub gap: Duration,
    /// Of what it does, where that takes its time.
    pub length: Duration,
    /// For whatever has to be chosen: which replica, which way.
    pub choice: usize,
}

/// The acts of one hand, for ever: each kind once, in any order; then each once more, and so on.
pub struct Deck {
    dice: fastrand::Rng,
    kinds: &'static [Act],
    left: Vec<Act>,
    dealt: usize,
    /// The longest gap, in milliseconds.
    most: u64,
}

impl Deck {
    pub fn new(seed: u64, kinds: &'static [Act], most: Duration) -> Deck {
        Deck { dice: fastrand::Rng::with_seed(seed), kinds, left: Vec::new(), dealt: 0, most: most.as_millis() as u64 }
    }

    /// Whether every kind has come.
    pub fn is_through(&self) -> bool {
        self.dealt >= self.kinds.len()
    }

    pub fn deal(&mut self) -> Draw {
        if self.left.is_empty() {
            self.left = self.kinds.to_vec();
            self.dice.shuffle(&mut self.left);
        }
        self.dealt += 1;
        let dice = &mut self.dice;
        Draw {
            act: self.left.pop().unwrap(),
            gap: Duration::from_millis(dice.u64(self.most / 5..=self.most)),
            length: Duration::from_millis(dice.u64(300..1500)),
            choice: dice.usize(..1000),
        }
    }
}
