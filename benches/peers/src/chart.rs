//! A chart for each group of sizes: how many times the limit each contestant takes.

use crate::measure::{LIMIT, US};
use crate::report::{Result, is_peer, mark};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (860, 420);

/// The peers, in the order they come.
const COLOURS: [RGBColor; 8] = [
    RGBColor(228, 120, 60),
    RGBColor(86, 156, 214),
    RGBColor(110, 170, 90),
    RGBColor(180, 130, 200),
    RGBColor(200, 170, 60),
    RGBColor(200, 90, 110),
    RGBColor(140, 140, 140),
    RGBColor(90, 180, 180),
];
const OURS: RGBColor = RGBColor(20, 30, 60);
const OURS_OTHERWISE: RGBColor = RGBColor(100, 115, 165);

/// What is slower than this many limits is drawn at the edge.
const MOST: f64 = 32.0;

/// Draws the groups that compare sizes, as `receive-binary.svg` and so on.
pub(crate) fn draw(results: &[Result], folder: &Path) -> std::result::Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for group in results.chunk_by(|a, b| a.group == b.group) {
        // What has a comma or says more than a size is not one of a row.
        let sizes: Vec<&Result> = group.iter().filter(|result| result.case.split(' ').count() == 2).collect();
        if sizes.len() > 1 {
            let name = group[0].group.to_lowercase().replace(' ', "-");
            chart(&sizes, &folder.join(name + ".svg"))?;
        }
    }
    Ok(())
}

fn chart(sizes: &[&Result], path: &Path) -> std::result::Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, names) = root.split_horizontally(SIZE.0 - 180);
    let last = sizes.len() as i32 - 1;
    let mut chart = ChartBuilder::on(&left)
        .caption(format!("{}: time as a multiple of the limit's", sizes[0].group), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(40)
        .build_cartesian_2d(0..last, (0.8..MOST).log_scale().base(2.0))?;
    let size = |at: &i32| sizes.get(*at as usize).map_or(String::new(), |result| result.case.clone());
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(sizes.len())
        .x_label_formatter(&size)
        .y_label_formatter(&|times| format!("{times}"))
        .draw()?;
    let mut colours = COLOURS.iter();
    for (line, row) in sizes[0].rows.iter().filter(|row| row.name != LIMIT).enumerate() {
        let (colour, width) = match row.name {
            US => (OURS, 3),
            name if is_peer(name) => (*colours.next().unwrap_or(&BLACK), 1),
            _ => (OURS_OTHERWISE, 2),
        };
        let style = ShapeStyle { color: colour.to_rgba(), filled: true, stroke_width: width };
        let times = |(at, result): (usize, &&Result)| {
            result.figures(row.name).map(|figures| (at as i32, figures.to_limit.clamp(0.8, MOST)))
        };
        let points = sizes.iter().enumerate().filter_map(times);
        chart.draw_series(LineSeries::new(points, style).point_size(width + 1))?;
        let mark = mark(sizes.iter().any(|result| result.is_noted(row.name)));
        let y = 60 + 22 * line as i32;
        names.draw(&PathElement::new([(0, y), (18, y)], style))?;
        names.draw(&Text::new(format!("{}{mark}", row.name), (26, y - 7), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}
