//! The planner's rules, for everything that plans without a configuration.

use bwp_sync::config::{Coalesce, Environment, ReadFirst};
use bwp_sync::plan::Rules;
use bwp_sync::plan::subject::AliasTypes;
use chrono::TimeDelta;

/// As a target in production has them where the configuration says nothing.
pub fn rules() -> Rules {
    Rules {
        environment: Environment::Production,
        alias_types: AliasTypes::default(),
        coalesce: Coalesce::Order,
        read_first: ReadFirst::Off,
        doubted_at: None,
        read_interval: TimeDelta::minutes(15),
        give_up_after: TimeDelta::hours(72),
        sandbox_interval: TimeDelta::minutes(5),
        request_timeout: TimeDelta::seconds(8),
        retry_budget: TimeDelta::hours(24),
        blind: false,
        open_for: TimeDelta::zero(),
    }
}
