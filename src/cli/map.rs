//! `map`: its arguments, the reading of its files, and its exit code. What is shown is [`crate::map`]'s matter.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Global, Output, print};
use crate::config::{self, Coalesce, ConfigErrors, Environment, Purpose};
use crate::event::{AliasRow, read_alias_data};
use crate::map::{Book, Line, Settings, Target, Targets, input, table};
use crate::plan::subject::AliasTypes;

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

/// Shows what the files' events become.
pub(super) fn run(global: &Global, args: &MapArgs) -> Result<Exit, ConfigErrors> {
    let settings = Settings { coalesce: args.coalesce, targets: targets(global, args.environment)? };
    Ok(match play(settings, args) {
        Ok(lines) => {
            let printed = print(&match global.output {
                Output::Table => table(&lines),
                Output::Json => json_lines(&lines),
            });
            if lines.iter().any(Line::is_bad) { Exit::No } else { printed }
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Usage
        }
    })
}

fn play(settings: Settings, args: &MapArgs) -> Result<Vec<Line>, String> {
    let imported = args.aliases.as_deref().map_or_else(|| Ok(Vec::new()), aliases)?;
    let files: Vec<Vec<u8>> = args.files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let mut book = Book::new(settings, imported);
    for file in &files {
        input::split(file).into_iter().for_each(|text| book.take(text));
    }
    Ok(book.finish())
}

/// The configured targets; any name where nothing is configured.
fn targets(global: &Global, environment: Option<Environment>) -> Result<Targets, ConfigErrors> {
    let target = |target: config::Target| Target {
        environment: environment.unwrap_or(target.environment),
        alias_types: AliasTypes::from(&target.alias_types),
    };
    if global.config.is_none() && global.set.is_empty() {
        return Ok(Targets::Any(target(config::Settings::built_in_target()?)));
    }
    let targets = global.settings(Purpose::Map)?.settings.targets;
    Ok(Targets::Only(targets.into_iter().map(|(name, configured)| (name, target(configured))).collect::<BTreeMap<_, _>>()))
}

fn aliases(path: &Path) -> Result<Vec<AliasRow>, String> {
    let file = read(path)?;
    let row = |(number, row): (usize, &[u8])| {
        read_alias_data(row).map_err(|fault| {
            let (message, pointer) = (fault.message, fault.pointer);
            format!("{}, line {number}: {message} (at {pointer:?})", path.display())
        })
    };
    input::rows(&file).map(row).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(path).map(|file| bytes = file),
    };
    read.map(|()| bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn json_lines(lines: &[Line]) -> String {
    lines.iter().map(|line| serde_json::json!(line).to_string() + "\n").collect()
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
