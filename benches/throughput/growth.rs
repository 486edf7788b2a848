//! How cost grows: the same work with more orders, a longer backlog, more names, larger events, more calls in flight. Each series is a
//! picture.

use crate::measures::Measures;
use crate::plot::{Line, Panel, picture};
use crate::stage::Setup;
use std::path::{Path, PathBuf};

/// One thing that grows, while the others stay as they are in S1.
pub struct Series {
    /// The file of its picture.
    pub name: &'static str,
    /// What grows.
    pub what: &'static str,
    pub points: Vec<(f64, Setup)>,
}

/// All of them.
pub fn series() -> Vec<Series> {
    let with = |x: usize, setup: Setup| (x as f64, setup);
    let orders =
        [1_000, 10_000, 100_000].map(|orders| with(orders, Setup { orders, events: orders.max(20_000), ..Setup::default() }));
    let backlog = [2_000, 20_000, 100_000].map(|events| with(events, Setup { events, held: true, ..Setup::default() }));
    let names = [1_000, 10_000, 100_000, 1_000_000].map(|names| with(names, Setup { names, ..Setup::default() }));
    let bytes = [(650, 20_000), (4_000, 20_000), (16_000, 8_000), (64_000, 2_000)]
        .map(|(bytes, events)| with(bytes, Setup { bytes, events, ..Setup::default() }));
    let in_flight = [(1, 500), (8, 4_000), (64, 20_000), (512, 20_000), (1_024, 20_000)]
        .map(|(in_flight, events)| with(in_flight, Setup { in_flight, events, ..Setup::default() }));
    vec![
        Series { name: "orders", what: "orders", points: orders.into() },
        Series { name: "backlog", what: "events durable before the first call", points: backlog.into() },
        Series { name: "aliases", what: "rows in the alias table", points: names.into() },
        Series { name: "size", what: "bytes of an event", points: bytes.into() },
        Series { name: "in-flight", what: "calls in flight", points: in_flight.into() },
    ]
}

/// Draws a series, into the documentation where that is asked for.
pub fn draw(series: &Series, measures: &[Measures]) -> PathBuf {
    let line = |name, value: &dyn Fn(&Measures) -> f64| Line {
        name,
        points: series.points.iter().zip(measures).map(|((x, _), measures)| (*x, value(measures))).collect(),
    };
    let panels = [
        Panel { title: "events/s", lines: vec![line("", &|it| it.middle_rate)] },
        Panel {
            title: "µs of processor for an event",
            lines: vec![line("daemon", &|it| it.cpu_us), line("Postgres", &|it| it.postgres_cpu_us.unwrap_or_default())],
        },
        Panel { title: "MiB of the daemon", lines: vec![line("", &|it| it.peak_memory_mib)] },
    ];
    let folder = if std::env::var("UPDATE_DOCS").is_ok() { "docs/growth" } else { "target/bench/growth" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}.svg", series.name));
    std::fs::write(&file, picture(series.what, &panels)).unwrap();
    file
}
