//! The page with the curves and all tables.

use crate::plot::curves;
use crate::table::{Line, Table};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// Writes `repair-noise.md` and its images to a folder. `parts` are the tables by folder of captures.
pub fn write(folder: &Path, parts: &[(&str, &Table)], all: &Table) -> Result<(), Box<dyn Error>> {
    let rest = |line: &&Line| !line.name.contains("runs") && line.name.ends_with('%');
    let uniform: Vec<Line> = all.lines.iter().filter(rest).cloned().collect();
    let runs: Vec<Line> = all.lines.iter().filter(|l| l.name.contains("runs")).cloned().collect();
    let mut page = format!(
        "# Repair of disturbed captures\n\nShare of packets, in percent, that repair gives back of \
         {} captures ({}), up to 1024 packets each. Made by\n\n```text\ncargo bench -p protocol-repair \
         --bench noise -- --sample {} --docs ../../docs FOLDER…\n```\n\nCaptures are drawn by a fixed seed, \
         each folder with its natural share. Every cell is turned into one of its two other states \
         with the given probability, without any confidence; *in runs*: the same share of cells in \
         clusters of 1–4 rows by 8–32 columns, half of whose cells are wrong; *colour σ*: noise of \
         this standard deviation on the rendered image, with the margin to the second nearest colour \
         as confidence.\n",
        all.captures,
        parts.iter().map(|(n, t)| format!("{} of {n}", t.captures)).collect::<Vec<_>>().join(", "),
        all.captures,
    );
    for (name, title, lines) in [
        (
            "repair-noise-uniform.svg",
            "Packets wrong (%) over cells wrong (%), each by itself",
            uniform,
        ),
        ("repair-noise-runs.svg", "Packets wrong (%) over cells wrong (%), in runs", runs),
    ] {
        if lines.len() == 4 {
            std::fs::write(folder.join(name), curves(&lines, title))?;
            let _ = writeln!(page, "\n![{title}]({name})");
        }
    }
    page.push_str(
        "\nIn the tables: bits as they are → repaired (references). The first reference is the most \
         likely of the values that the group's fields really have in this capture, with the shares that \
         they have there, packet by packet; conversations are told by their true ports. Repair passes \
         it where it goes by neighbours, too. The second one, for ports only, knows which \
         conversation each packet belongs to, which way it goes, and the ports of the servers; it reads \
         each client's port from the conversation's own packets. Client ports say nothing of each \
         other, so that no decoder without the truth's ports reads them better: in a DNS exchange of two \
         packets a bit in which they differ is a coin's throw.\n",
    );
    for (name, table) in parts {
        let _ = writeln!(page, "\n## {name}: {} captures\n\n{}", table.captures, table.markdown());
    }
    if parts.len() > 1 {
        let _ = writeln!(page, "\n## All: {} captures\n\n{}", all.captures, all.markdown());
    }
    std::fs::write(folder.join("repair-noise.md"), page)?;
    Ok(())
}
