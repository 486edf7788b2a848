//! What the ops port shows, as values.

use std::collections::BTreeMap;
use std::time::Duration;

/// A client for loopback HTTP; each owner its own, since connections belong to one test's runtime.
pub fn http() -> reqwest::Client {
    // Without a provider the client cannot be built, although nothing here speaks TLS. A second install is refused: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The port closes connections that are idle: none is used twice, lest a request meets such an end.
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(10))
        .build()
        .expect("an HTTP client")
}

/// One reading of `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the Prometheus text format.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(|line| Sample::parse(line).unwrap_or_else(|| panic!("not a metric: {line}"))).collect())
    }

    /// The sum over all series of that full name which have these labels; `None` where there is no such series.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        let mut found = self.0.iter().filter(fits).map(|sample| sample.value).peekable();
        found.peek()?;
        Some(found.sum())
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, rest) = match line.split_once('{') {
            Some((name, rest)) => (name, rest),
            None => {
                let (name, value) = line.split_once(' ')?;
                return Some(Self { name: name.to_owned(), labels: BTreeMap::new(), value: value.trim().parse().ok()? });
            }
        };
        let (labels, value) = rest.rsplit_once('}')?;
        Some(Self { name: series.to_owned(), labels: parse_labels(labels)?, value: value.trim().parse().ok()? })
    }
}

/// `a="1",b="2"`, with `\"`, `\\` and `\n` inside values.
fn parse_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (label, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (end, '"') => break end,
                (_, other) => value.push(other),
            }
        };
        labels.insert(label.to_owned(), value);
        text = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}
