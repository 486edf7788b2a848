//! The arguments of `map`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Coalesce, Environment};

/// Shows the mutations that events would become: no network, no database, no configuration needed.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// What is known of aliases: JSON Lines as `aliases export` writes them.
    #[arg(long, value_name = "FILE")]
    pub aliases: Option<PathBuf>,
    /// What stands behind every target: sandbox or production. Without it, what the configuration says, else production.
    #[arg(long, value_name = "ENVIRONMENT", value_parser = word::<Environment>)]
    pub environment: Option<Environment>,
    /// off: each event alone, as if Buy with Prime accepted every mutation. order: all as if they waited together.
    #[arg(long, value_name = "COALESCE", default_value = "off", value_parser = word::<Coalesce>)]
    pub coalesce: Coalesce,
    /// Files of events, `-` for standard input: one JSON value that is an event or an array of events, or one event a line.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

fn word<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        map: MapArgs,
    }

    #[test]
    fn words_are_those_of_the_configuration() {
        let parsed = Alone::try_parse_from(["map", "--environment", "sandbox", "--coalesce", "order", "-"]);
        let map = parsed.map(|alone| alone.map);
        assert!(
            matches!(&map, Ok(MapArgs { environment: Some(Environment::Sandbox), coalesce: Coalesce::Order, files, .. }) if files.len() == 1),
            "{map:?}"
        );
        let map = Alone::try_parse_from(["map", "a.json"]).map(|alone| alone.map);
        assert!(matches!(map, Ok(MapArgs { environment: None, coalesce: Coalesce::Off, aliases: None, .. })));
        let error = Alone::try_parse_from(["map", "--environment", "test", "a"]).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("it must be one of: production, sandbox")));
        assert!(Alone::try_parse_from(["map"]).is_err());
    }
}
