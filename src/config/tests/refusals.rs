//! What is refused, in which words, and what is not.

use super::*;

#[test]
fn values_of_the_wrong_type_are_all_named_at_once() {
    let text = refused(&["dispatch.lease=30", "database.max_connections=many", "dispatch.coalesce=always", "ops.listen=9464"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for sentence in [
        "dispatch.lease is \"30\", which has no unit; write \"30s\" for seconds (flag --set)",
        "database.max_connections is \"many\"; it must be a whole number, not negative and not huge (flag --set)",
        "dispatch.coalesce is \"always\"; it must be one of: order, off (flag --set)",
        "ops.listen is \"9464\"; it must be an IP address and a port, such as \"0.0.0.0:9464\" (flag --set)",
    ] {
        assert!(lines.contains(&sentence), "{text}");
    }
}

#[test]
fn types_in_a_file_are_strict() {
    let text = "database.migrate_on_start = 1\nkafka.brokers = ['a', 'b']\n";
    let mut sources = flags(&[]);
    sources.file = Some(scratch("types.toml", text));
    let text = Settings::load(&sources, Purpose::Run).unwrap_err().to_string();
    assert!(text.starts_with("kafka.brokers is a list; it must be one value (file "), "{text}");
    sources.file = Some(scratch(
        "types2.toml",
        "database.migrate_on_start = 1\nretry.max = 5\ndispatch.max_in_flight = 2.5\nkafka.group_id = 7\n",
    ));
    let text = Settings::load(&sources, Purpose::Run).unwrap_err().to_string();
    for sentence in [
        "migrate_on_start is 1; it must be true or false",
        "retry.max is 5, which has no unit",
        "max_in_flight is 2.5;",
        "group_id is 7; write it in quotes",
    ] {
        assert!(text.contains(sentence), "{text}");
    }
}

#[test]
fn impossible_settings_are_refused_in_sentences() {
    for (flag, sentence) in [
        ("kafka.broker=x", "kafka.broker is not a known key; did you mean kafka.brokers? (flag --set)"),
        ("max_in_flight=4", "max_in_flight is not a known key; did you mean dispatch.max_in_flight?"),
        ("kafka=x", "kafka is a section, not a value"),
        ("nonsense", "--set nonsense has no value; write --set section.key=value"),
        ("targets.EU.client_id=x", "targets.EU.client_id names a target \"EU\""),
        ("targets.NAME.client_id=x", "write the target's own name in place of NAME"),
        ("targets.eu.client_idd=x", "did you mean targets.eu.client_id?"),
        ("targets.eu.client_id=x", "targets.eu.target_id is not set"),
        ("dispatch.lease=10s", "dispatch.lease is 10s; it must be longer than dispatch.request_timeout (8s) and 2 s"),
        ("dispatch.max_in_flight=0", "dispatch.max_in_flight is 0; it must be from 1 to 1024"),
        ("dispatch.max_in_flight=1025", "dispatch.max_in_flight is 1025; it must be from 1 to 1024"),
        ("retry.initial=6m", "retry.initial is 6m; it must not be longer than retry.max (5m)"),
        ("ingest.poison_share=1.1", "ingest.poison_share is 1.1; it must be from 0 to 1"),
        ("ingest.batch_records=0", "ingest.batch_records is 0"),
        ("waiting.read_interval=0s", "waiting.read_interval is zero"),
        ("database.url=", "database.url is not set"),
        ("database.url=nonsense", "database.url is not an address"),
        ("database.url_file=/x", "database.url is set, and so is database.url_file (flag --set); set only one of the two"),
        ("targets.default.client_secret=", "targets.default.client_secret is not set"),
        (
            "targets.default.endpoint=http://example.com/graphql",
            "targets.default.endpoint begins with http://example.com; write https",
        ),
        ("targets.default.token_endpoint=http://128.0.0.1/", "targets.default.token_endpoint begins"),
        ("targets.default.endpoint=http://localhost.example.com/", "write https"),
        ("targets.default.endpoint=ftp://localhost/", "ftp is not https"),
        ("targets.default.endpoint=https://me:pw@example.com/", "holds a user name or password"),
        ("targets.default.environment=test", "must be one of: production, sandbox"),
        ("targets.default.alias_types.order=", "has 0 characters"),
        ("targets.default.alias_types.order= X", "no space at either end"),
        ("targets.default.headers.x-api-version=bad name", "targets.default.headers.x-api-version is another name"),
        ("targets.default.headers.content-type=x", "content-type is the program's own"),
        ("targets.default.headers.x-api-version=Authorization", "makes two headers of the name authorization"),
        ("kafka.topics.returns=oms.refunds", "and so is kafka.topics.returns"),
        ("kafka.topics.returns=a b", "kafka.topics.returns is \"a b\""),
        ("kafka.group_id=", "kafka.group_id is empty"),
        ("kafka.properties.group.id=x", "kafka.properties.group.id cannot be set here: set kafka.group_id"),
        ("kafka.properties.sasl.user=x", "kafka.properties.sasl.user is refused by librdkafka"),
        ("log.level=inof", "log.level is \"inof\""),
    ] {
        let text = refused(&[flag]);
        assert!(text.contains(sentence), "{flag}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let none: Vec<String> =
        ["returns", "refunds", "shipments", "orders", "aliases"].map(|key| format!("kafka.topics.{key}=")).into();
    let none: Vec<&str> = none.iter().map(String::as_str).collect();
    assert!(refused(&none).starts_with("kafka.topics has no topic to read"));
}

#[test]
fn what_is_only_odd_is_allowed() {
    for flag in [
        "targets.default.endpoint=http://127.8.9.1:80/graphql",
        "targets.default.endpoint=http://[::1]:80/graphql",
        "targets.default.token_endpoint=http://localhost:8080/token",
        "waiting.give_up_after=3s",
        "retry.budget=0s",
        "dispatch.lease=10001ms",
        "dispatch.max_in_flight=1024",
        "ingest.poison_share=1",
        "kafka.topics.outcomes=",
        "log.level=info,bwp_sync::dispatch=debug",
        "targets.default.headers.X-API-Target-Id=X-Omni-TargetId",
    ] {
        if let Err(error) = load(&[flag]) {
            panic!("{flag}: {error}");
        }
    }
    let loaded = load(&["targets.default.headers.X-API-Target-Id=X-Omni-TargetId"]).unwrap();
    let headers = &loaded.settings.targets["default"].headers;
    assert_eq!(headers.name_of(OwnHeader::TargetId), "x-omni-targetid");
    assert_eq!(headers.extra().count(), 0);
}

#[test]
fn an_empty_section_is_still_a_target_without_credentials() {
    let sources = Sources { file: Some(scratch("empty.toml", "[targets.default]\n")), ..Sources::default() };
    let text = Settings::load(&sources, Purpose::Run).unwrap_err().to_string();
    for key in ["target_id", "client_id", "client_secret"] {
        assert!(text.contains(&format!("targets.default.{key} is not set")), "{text}");
    }
}

#[test]
fn map_needs_nothing_but_still_refuses_what_is_wrong() {
    let built_in = Settings::built_in_target().unwrap();
    assert_eq!(built_in.alias_types.line_item, "EXTERNAL_ITEM_ID");
    let sources = Sources {
        flags: vec!["targets.eu.environment=sandbox".to_owned(), "targets.eu.client_secret_file=/nowhere".to_owned()],
        ..Sources::default()
    };
    let loaded = Settings::load(&sources, Purpose::Map).unwrap();
    assert_eq!(loaded.settings.targets["eu"].environment, Environment::Sandbox);
    let sources = Sources { flags: vec!["targets.eu.enviroment=sandbox".to_owned()], ..Sources::default() };
    let text = Settings::load(&sources, Purpose::Map).unwrap_err().to_string();
    assert!(text.contains("did you mean targets.eu.environment?"), "{text}");
}

#[test]
fn a_syntax_error_does_not_quote_the_line() {
    let sources = Sources { file: Some(scratch("broken.toml", "a = 1\nclient_secret = hunter2\n")), ..Sources::default() };
    let text = Settings::load(&sources, Purpose::Run).unwrap_err().to_string();
    assert!(text.contains("is not TOML: TOML parse error at line 2"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let sources = Sources { file: Some("/nowhere.toml".into()), ..Sources::default() };
    assert!(Settings::load(&sources, Purpose::Run).unwrap_err().to_string().starts_with("--config /nowhere.toml cannot be read"));
}
