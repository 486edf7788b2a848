//! The layers, the reference file and the printing, by the public entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

mod refusals;

/// What every start needs.
const NEEDED: [&str; 4] = [
    "database.url=postgres://me:hunter2@127.0.0.1/bwp",
    "targets.default.target_id=tid",
    "targets.default.client_id=cid",
    "targets.default.client_secret=hunter2",
];

fn flags(more: &[&str]) -> Sources {
    let flags = NEEDED.iter().chain(more).map(|flag| (*flag).to_owned()).collect();
    Sources { flags, ..Sources::default() }
}

fn load(more: &[&str]) -> Result<Loaded, ConfigErrors> {
    Settings::load(&flags(more), Purpose::Run)
}

fn refused(more: &[&str]) -> String {
    load(more).expect_err("it must be refused").to_string()
}

fn scratch(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bwp-sync-config-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_is_needed_is_enough() {
    let loaded = load(&[]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let settings = &loaded.settings;
    assert_eq!(settings.kafka.topics.read(), ["oms.returns", "oms.refunds", "oms.shipments", "oms.orders", "oms.aliases"]);
    assert_eq!(settings.kafka.topics.dead_letters(), Some("bwp.dead-letters"));
    assert_eq!(settings.dispatch.lease, Duration::from_secs(30));
    assert_eq!(settings.retention.known_state, Duration::from_secs(400 * 86_400));
    assert_eq!(settings.rate.limit(), None);
    let target = &settings.targets["default"];
    assert_eq!(target.environment, Environment::Production);
    assert_eq!(target.alias_types.return_, "EXTERNAL-RETURN-ID");
    assert_eq!(target.client_secret.current().expose_secret(), "hunter2");
    assert_eq!(target.headers.name_of(OwnHeader::TargetId), "x-api-target-id");
}

#[test]
fn verdicts_are_named_by_codes_of_any_spelling_and_known_words() {
    let file = scratch("verdicts.toml", "[verdicts]\nSomeNewCode = \"retry\"\n");
    let environment = vec![("BWP_SYNC__VERDICTS__OTHERCODE".to_owned(), "refused".to_owned())];
    let sources = Sources { file: Some(file), environment, ..flags(&["verdicts.Third=not_yet"]) };
    let settings = Settings::load(&sources, Purpose::Run).unwrap().settings;
    let words: Vec<(&str, &str)> = settings.verdicts.iter().map(|(code, word)| (code.as_str(), word.as_str())).collect();
    assert_eq!(words, [("othercode", "refused"), ("somenewcode", "retry"), ("third", "not_yet")]);
    let refusal = refused(&["verdicts.SomeCode=delivered"]);
    assert!(refusal.contains("verdicts.somecode is \"delivered\"; it must be one of: unknown, "), "{refusal}");
}

/// `deny_unknown_fields` and the absence of serde defaults make the types and the file equal; here is what they cannot say.
#[test]
fn every_key_of_the_reference_has_a_comment_above_it() {
    let mut section = String::new();
    let mut commented = false;
    let mut keys = 0;
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            assert!(commented, "{section}.{} has no sentence", key.trim());
            keys += 1;
        }
        commented = line.starts_with("# ");
    }
    let shown: BTreeSet<String> = print::entries(&load(&[]).unwrap()).into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, shown.len(), "{shown:?}");
    for key in ["kafka.topics.returns", "dispatch.read_first", "targets.default.alias_types.return", "log.level"] {
        assert!(shown.contains(key), "{key}");
    }
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let file = scratch(
        "layers.toml",
        "waiting.read_interval = '1m'
waiting.give_up_after = '1h'
[retry]
initial = '2s'
",
    );
    let mut sources = flags(&["waiting.give_up_after=3h"]);
    sources.file = Some(file.clone());
    sources.environment = vec![
        ("BWP_SYNC__WAITING__GIVE_UP_AFTER".to_owned(), "2h".to_owned()),
        ("bwp_sync__Retry__Initial".to_owned(), "3s".to_owned()),
        ("BWP_SYNC_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()),
        ("BWP_SYNC__KAFKA__TOPICS__ALIASES".to_owned(), String::new()),
        ("BWP_SYNC__KAFKA__PROPERTIES__SASL_USERNAME".to_owned(), "me".to_owned()),
        ("BWP_SYNC__TARGETS__DEFAULT__HEADERS__X_API_ACCESS_KEY".to_owned(), "k".to_owned()),
        ("BWP_SYNC__DATABASE__MIGRATE_ON_START".to_owned(), "false".to_owned()),
        ("BWP_SYNC__INGEST__BATCH_RECORDS".to_owned(), "7".to_owned()),
    ];
    let loaded = Settings::load(&sources, Purpose::Run).unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.waiting.read_interval, Duration::from_secs(60));
    assert_eq!(settings.waiting.give_up_after, Duration::from_secs(3 * 3_600));
    assert_eq!(settings.retry.initial, Duration::from_secs(3));
    assert_eq!(settings.kafka.topics.read().len(), 4);
    assert_eq!(settings.kafka.properties["sasl.username"].current().expose_secret(), "me");
    assert!(!settings.database.migrate_on_start);
    assert_eq!(settings.ingest.batch_records, 7);
    let extra: Vec<&str> = settings.targets["default"].headers.extra().map(|(name, _)| name).collect();
    assert_eq!(extra, ["x-api-access-key"]);
    assert_eq!(loaded.origin("waiting.read_interval"), Some(&Origin::File(file)));
    assert_eq!(loaded.origin("waiting.give_up_after"), Some(&Origin::Flag));
    assert_eq!(loaded.origin("retry.initial"), Some(&Origin::Environment("bwp_sync__Retry__Initial".to_owned())));
    assert_eq!(loaded.origin("retry.max"), Some(&Origin::Default));
}

#[test]
fn properties_are_the_same_with_and_without_quotes() {
    let text = "[kafka.properties]\n'sasl.username' = 'a'\nsasl.mechanism = 'PLAIN'\n'linger.ms' = 5\n'enable.ssl.certificate.verification' = true\n";
    let mut sources = flags(&["kafka.properties.socket.timeout.ms=9000"]);
    sources.file = Some(scratch("properties.toml", text));
    let loaded = Settings::load(&sources, Purpose::Run).unwrap();
    let properties: Vec<(String, String)> = loaded
        .settings
        .kafka
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.current().expose_secret().to_owned()))
        .collect();
    let expected = [
        ("enable.ssl.certificate.verification", "true"),
        ("linger.ms", "5"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("socket.timeout.ms", "9000"),
    ];
    assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn secrets_come_from_files_too() {
    let secret = scratch("secret", "from-a-file\n");
    let flags = [
        format!("database.url_file={}", scratch("url", "postgres://me@db/x\n").display()),
        "targets.eu.target_id=t".to_owned(),
        "targets.eu.client_id=c".to_owned(),
        format!("targets.eu.client_secret_file={}", secret.display()),
        format!("targets.eu.headers.x-api-access-key_file={}", secret.display()),
        format!("kafka.properties.sasl.password_file={}", secret.display()),
    ];
    let mut sources = Sources { flags: flags.into(), ..Sources::default() };
    let loaded = Settings::load(&sources, Purpose::Run).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let settings = &loaded.settings;
    let target = &settings.targets["eu"];
    let key = target.headers.extra().find(|(name, _)| *name == "x-api-access-key").unwrap().1;
    for value in [&target.client_secret, key, &settings.kafka.properties["sasl.password"]] {
        assert_eq!(value.current().expose_secret(), "from-a-file");
        assert_eq!(value.file(), Some(secret.as_path()));
    }
    sources.flags.push("targets.eu.client_secret_file=/nowhere".to_owned());
    let text = Settings::load(&sources, Purpose::Run).unwrap_err().to_string();
    assert!(text.starts_with("targets.eu.client_secret_file is of no use: /nowhere cannot be read"), "{text}");
}

#[test]
fn what_is_printed_has_sources_and_no_secrets() {
    let loaded = load(&["kafka.properties.sasl.password=hunter2", "targets.default.headers.x-api-access-key=hunter2"]).unwrap();
    let text = print::table(&print::entries(&loaded));
    assert!(!text.contains("hunter2") && !format!("{loaded:?}").contains("Secret(hunter"), "{text}");
    let line = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(&format!("{key} =")))
            .unwrap_or_else(|| panic!("{key}: {text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("targets.default.client_secret"), "targets.default.client_secret = \"***\" # flag --set");
    assert_eq!(line("targets.default.client_secret_file"), "targets.default.client_secret_file = \"\" # default");
    assert_eq!(line("kafka.properties.sasl.password"), "kafka.properties.sasl.password = \"***\" # flag --set");
    assert_eq!(
        line("targets.default.headers.x-api-access-key"),
        "targets.default.headers.x-api-access-key = \"***\" # flag --set"
    );
    assert_eq!(line("database.url"), "database.url = \"postgres://me:***@127.0.0.1/bwp\" # flag --set");
    assert_eq!(line("database.max_connections"), "database.max_connections = 10 # default");
}
