//! `check`: layers, sources, masks, refusals, exit codes.

use serde_json::Value;

use super::{Run, command, file, run};

/// A configuration that would start, whose every secret is `hunter2`.
const GOOD: &str = "
[database]
url = 'postgres://me:hunter2@127.0.0.1:5432/bwp?sslmode=disable'
[targets.default]
target_id = 'tid'
client_id = 'cid'
client_secret = 'hunter2'
headers = { x-api-access-key = 'hunter2', x-api-target-id = 'X-Omni-TargetId' }
[kafka.properties]
'sasl.username' = 'me'
'sasl.password' = 'hunter2'
";

fn check(config: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut arguments = arguments.to_vec();
    arguments.extend(["check", "--config", config]);
    let run = run(command(&arguments).envs(environment.iter().copied()));
    assert!(!run.out.contains("hunter2") && !run.err.contains("hunter2"), "{}{}", run.out, run.err);
    run
}

fn good(name: &str) -> String {
    file(name, GOOD).display().to_string()
}

#[test]
fn nothing_configured_is_refused() {
    let run = run(&mut command(&["check"]));
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.starts_with("error: database.url is not set"), "{}", run.err);
}

#[test]
fn what_would_start_is_fine_and_shown_with_its_sources() {
    let config = good("table.toml");
    let environment = [
        ("BWP_SYNC__KAFKA__GROUP_ID", "from-env"),
        ("BWP_SYNC__RETRY__MAX", "3m"),
        ("bwp_sync__kafka__topics__Aliases", ""),
        ("BWP_SYNC_PORT", "tcp://10.0.0.1:1"),
    ];
    let run = check(&config, &environment, &["--set", "retry.max=4m"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.err);
    for (key, value, source) in [
        ("kafka.brokers", "\"127.0.0.1:9092\"", "default".to_owned()),
        ("kafka.group_id", "\"from-env\"", "environment variable BWP_SYNC__KAFKA__GROUP_ID".to_owned()),
        ("kafka.topics.aliases", "\"\"", "environment variable bwp_sync__kafka__topics__Aliases".to_owned()),
        ("retry.max", "\"4m\"", "flag --set".to_owned()),
        ("kafka.properties.sasl.username", "\"me\"", format!("file {config}")),
        ("kafka.properties.sasl.password", "\"***\"", format!("file {config}")),
        ("targets.default.client_secret", "\"***\"", format!("file {config}")),
        ("targets.default.headers.x-api-access-key", "\"***\"", format!("file {config}")),
        ("targets.default.headers.x-api-target-id", "\"X-Omni-TargetId\"", format!("file {config}")),
        ("targets.default.api_version", "\"2024-11-01\"", "default".to_owned()),
    ] {
        let line =
            run.out.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_else(|| panic!("{key}\n{}", run.out));
        let (shown, from) = line.split_once("  # ").unwrap();
        assert_eq!(shown.trim_end(), format!("{key} = {value}"));
        assert_eq!(from, source);
    }
    assert!(run.out.contains("database.url = \"postgres://me:***@127.0.0.1:5432/bwp?sslmode=disable\""), "{}", run.out);
}

#[test]
fn programs_get_json() {
    let run = check(&good("json.toml"), &[], &["--output", "json"]);
    assert_eq!(run.code, 0);
    let entries: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    let entry = |key: &str| entries.iter().find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("{key}"));
    assert_eq!(entry("database.max_connections")["value"], 10);
    assert_eq!(entry("database.migrate_on_start")["value"], true);
    assert_eq!(entry("targets.default.client_secret")["value"], "***");
    assert_eq!(entry("targets.default.client_secret_file")["value"], "");
    assert_eq!(entry("dispatch.lease")["source"], "default");
}

#[test]
fn no_default_target_is_a_warning() {
    let config = file("warn.toml", "database.url = 'postgres://127.0.0.1/bwp'\n").display().to_string();
    let run = check(&config, &[], &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.starts_with("warning: targets.default is not configured"), "{}", run.err);
    assert!(run.out.contains("kafka.brokers"), "{}", run.out);
}

#[test]
fn refusals_name_the_key_and_its_source() {
    let config = good("refused.toml");
    for (environment, arguments, sentence) in [
        (
            &[("BWP_SYNC__KAFKA__BROKER", "x")][..],
            &[][..],
            "error: kafka.broker is not a known key; did you mean kafka.brokers? (environment variable BWP_SYNC__KAFKA__BROKER)\n".to_owned(),
        ),
        (&[], &["--set", "dispatch.lease=30"], "error: dispatch.lease is \"30\", which has no unit; write \"30s\" for seconds (flag --set)\n".to_owned()),
        (
            &[("BWP_SYNC__DISPATCH__REQUEST_TIMEOUT", "28s")],
            &[],
            "error: dispatch.lease is 30s; it must be longer than dispatch.request_timeout (28s, environment variable BWP_SYNC__DISPATCH__REQUEST_TIMEOUT) and 2 s for settling together\n".to_owned(),
        ),
        (
            &[("BWP_SYNC__TARGETS__DEFAULT__CLIENT_SECRET_FILE", "/x")],
            &[],
            format!("error: targets.default.client_secret is set, and so is targets.default.client_secret_file (environment variable BWP_SYNC__TARGETS__DEFAULT__CLIENT_SECRET_FILE); set only one of the two (file {config})\n"),
        ),
        (&[], &["--set", "targets.default.endpoint=http://10.0.0.1/graphql"], "error: targets.default.endpoint begins with http://10.0.0.1; write https".to_owned()),
        (
            &[],
            &["--set", "targets.default.client_secret:hunter2"],
            "error: --set targets.default.client_secret has no value; write --set section.key=value\n".to_owned(),
        ),
        (&[], &["--set", "targets.eu.client_id=x"], "error: targets.eu.client_secret is not set".to_owned()),
        (&[], &["--set", "kafka.topics.orders=oms.returns"], "error: kafka.topics.orders is \"oms.returns\", and so is kafka.topics.returns (flag --set)\n".to_owned()),
        (&[], &["--set", "kafka.properties.sasl.mechanism=PLAIN", "--set", "kafka.properties.no.such=hunter2"], "error: kafka.properties.no.such is refused by librdkafka".to_owned()),
    ] {
        let run = check(&config, environment, arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{sentence}");
        assert!(run.err.contains(&sentence), "{sentence}\n{}", run.err);
    }
}

#[test]
fn a_secret_in_a_file_must_be_readable() {
    let secret = file("secret", "hunter2\n");
    let text = GOOD.replace("client_secret = 'hunter2'", &format!("client_secret_file = '{}'", secret.display()));
    let config = file("secret.toml", &text).display().to_string();
    let run = check(&config, &[], &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.err);
    std::fs::remove_file(&secret).unwrap();
    let run = check(&config, &[], &[]);
    assert_eq!(run.code, 2);
    assert!(run.err.starts_with("error: targets.default.client_secret_file is of no use: "), "{}", run.err);
}
