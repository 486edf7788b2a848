//! Small pictures: panels side by side, each with lines over the same logarithmic axis.

use std::fmt::Write as _;

/// What a panel shows.
pub struct Panel<'a> {
    pub title: &'a str,
    pub lines: Vec<Line<'a>>,
}

/// A line through points.
pub struct Line<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 280.0;
const HEIGHT: f64 = 190.0;
/// Room around the lines of a panel: left and right, above, below.
const SIDE: f64 = 34.0;
const ABOVE: f64 = 42.0;
const BELOW: f64 = 40.0;
const COLOURS: [&str; 2] = ["#1f6f8b", "#c8553d"];

/// The picture of panels, as SVG. `what` is what grows to the right.
pub fn picture(what: &str, panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate({},0)\">", WIDTH * at as f64);
        draw(&mut svg, panel, what);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, what: &str) {
    let all = || panel.lines.iter().flat_map(|line| line.points.iter().copied());
    let (least, most) = all().fold((f64::MAX, f64::MIN), |(least, most), (x, _)| (least.min(x.log10()), most.max(x.log10())));
    // From zero: what looks twice as high is twice as much.
    let highest = all().fold(0.0, |highest: f64, (_, y)| highest.max(y)) * 1.1;
    let place = |x: f64, y: f64| {
        let share = (x.log10() - least) / (most - least).max(f64::MIN_POSITIVE);
        let (right, down) = (WIDTH - 2.0 * SIDE, HEIGHT - ABOVE - BELOW);
        (SIDE + share * right, ABOVE + (1.0 - y / highest.max(f64::MIN_POSITIVE)) * down)
    };
    let floor = HEIGHT - BELOW;
    let _ = writeln!(svg, "<text x=\"{SIDE}\" y=\"16\" font-weight=\"bold\">{}</text>", panel.title);
    let _ = writeln!(svg, "<line x1=\"{SIDE}\" y1=\"{floor}\" x2=\"{}\" y2=\"{floor}\" stroke=\"#888\"/>", WIDTH - SIDE);
    let _ =
        writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{what}</text>", WIDTH / 2.0, HEIGHT - 6.0);
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        let places: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| place(*x, *y)).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" "));
        for ((x, y), (_, value)) in places.iter().zip(&line.points) {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\">{value:.0}</text>",
                y - 7.0
            );
        }
    }
    for (x, _) in panel.lines.first().into_iter().flat_map(|line| &line.points) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            place(*x, 0.0).0,
            floor + 14.0,
            short(*x)
        );
    }
    let named = panel.lines.iter().zip(COLOURS).filter(|(line, _)| !line.name.is_empty());
    for (at, (line, colour)) in named.enumerate() {
        let _ = writeln!(svg, "<text x=\"{}\" y=\"30\" fill=\"{colour}\">{}</text>", SIDE + 80.0 * at as f64, line.name);
    }
}

/// A number as one reads it on an axis.
fn short(number: f64) -> String {
    match number {
        _ if number >= 1e6 => format!("{}M", number / 1e6),
        _ if number >= 1e3 => format!("{}k", number / 1e3),
        _ => number.to_string(),
    }
}
