//! What a person reads first.

use crate::compliance::RuleKind;
use crate::config::{Classifier, View};
use crate::report::{Better, Finding, Grade, Report, Scenario, Score, UtilityRow};

pub(crate) fn summarise(report: &Report, category: Option<&str>) -> Vec<Finding> {
    let mut out = vec![protocol(report)];
    let score = |metric: &str| report.scores.iter().find(|s| s.metric.starts_with(metric));
    out.extend(
        score("Jensen-Shannon distance, set").map(|s| from_score("Header bits", s, "JS distance")),
    );
    out.extend(
        score("packet length: Kolm").map(|s| from_score("Packet lengths", s, "KS statistic")),
    );
    out.extend(
        score("gap between packets: Kolm").map(|s| from_score("Timing", s, "KS statistic of gaps")),
    );
    out.extend(
        score("words of 3").map(|s| from_score("Order of packets", s, "JS distance of 3 in a row")),
    );
    out.extend(
        score("CICFlowMeter features").map(|s| from_score("Flows", s, "mean KS of 78 features")),
    );
    out.extend(
        score("coverage").map(|s| from_score("Variety", s, "share of real captures covered")),
    );
    out.extend(privacy(report));
    out.extend(
        score("same packet length")
            .map(|s| from_score("Like the parent", s, "same length at the same place")),
    );
    let detection = |view: View| score(&format!("real-vs-synthetic AUC, {}", view.name()));
    out.extend(detection(View::Bits).map(|s| from_score("Detected by bits", s, "AUC of a forest")));
    out.extend(
        detection(View::Sequence).map(|s| from_score("Detected by sequence", s, "AUC of a forest")),
    );
    if let Some(category) = category {
        for (scenario, title) in [
            (Scenario::RealSynthetic, "Label recognised"),
            (Scenario::SyntheticReal, "Useful for training"),
        ] {
            out.extend(usefulness(report, category, scenario, title));
        }
    }
    out
}

fn protocol(report: &Report) -> Finding {
    let errors = report.compliance.iter().filter(|r| r.kind == RuleKind::Error);
    let (mut broken, mut checked, mut real_broken, mut real_checked) = (0, 0, 0, 0);
    let mut named = Vec::new();
    for r in errors {
        broken += r.synthetic.broken;
        checked += r.synthetic.checked;
        real_broken += r.real.broken;
        real_checked += r.real.checked;
        if r.synthetic.broken > 0 {
            named.push(format!("{} {}", r.rule, r.synthetic.broken));
        }
    }
    let rate = |b: u64, c: u64| b as f64 / c.max(1) as f64;
    let (ours, theirs) = (rate(broken, checked), rate(real_broken, real_checked));
    let list = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    Finding {
        title: "Protocol errors".to_owned(),
        value: broken.to_string(),
        text: format!(
            "in {checked} checks ({list}); real captures: {real_broken} in {real_checked} ({:.3} %).",
            100.0 * theirs
        ),
        grade: match () {
            () if checked == 0 => Grade::Unknown,
            () if broken == 0 || ours <= theirs => Grade::Good,
            () if ours < 0.01 => Grade::Middling,
            () => Grade::Poor,
        },
    }
}

/// Copies, identifiers and membership in one line; the worst of them decides.
fn privacy(report: &Report) -> Option<Finding> {
    let score = |metric: &str| report.scores.iter().find(|s| s.metric.starts_with(metric));
    let copied = score("packets in copied runs")?;
    let membership = score("membership inference")?;
    let share = copied.synthetic?;
    let floor = copied.noise_floor.unwrap_or(0.0);
    let auc = membership.synthetic;
    let advantage = auc.map_or(0.0, |a| (a - 0.5).abs());
    let membership = auc.map_or_else(
        || "membership inference needs held-out captures".to_owned(),
        |a| format!("membership AUC {a:.2} (0.5 tells nothing)"),
    );
    let identifiers = report.identifiers.len();
    let grade = match () {
        () if share > floor + 0.1 || advantage > 0.25 => Grade::Poor,
        () if share > floor + 0.01 || advantage > 0.1 || identifiers > 0 => Grade::Middling,
        () => Grade::Good,
    };
    Some(Finding {
        title: "Privacy".to_owned(),
        value: format!("{:.1} %", 100.0 * share),
        text: format!(
            "of packets stand in runs copied from real captures (real against real {:.1} %); {membership}; \
             {identifiers} identifier(s) of the training set in the output.",
            100.0 * floor
        ),
        grade,
    })
}

fn from_score(title: &str, score: &Score, what: &str) -> Finding {
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
    Finding {
        title: title.to_owned(),
        value: number(score.synthetic),
        text: format!(
            "{what}; real against real {}, wrong class {}, random {}.",
            number(score.noise_floor),
            number(score.wrong_class),
            number(score.random)
        ),
        grade: grade(score),
    }
}

/// Good in the half of the way from floor to wrong class that is nearer to the floor.
pub(crate) fn grade(score: &Score) -> Grade {
    let distance = |v: f64| match score.better {
        Better::Lower => v,
        Better::Higher => -v,
        Better::Half => (v - 0.5).abs(),
        Better::Floor => (v - score.noise_floor.unwrap_or(v)).abs(),
    };
    let wrong = score.wrong_class.or(score.random);
    let (Some(s), Some(floor), Some(wrong)) = (score.synthetic, score.noise_floor, wrong) else {
        return Grade::Unknown;
    };
    let (s, floor, wrong) = (distance(s), distance(floor), distance(wrong));
    if s <= floor {
        Grade::Good
    } else if wrong <= floor {
        Grade::Unknown
    } else {
        match (s - floor) / (wrong - floor) {
            part if part < 0.5 => Grade::Good,
            part if part < 1.0 => Grade::Middling,
            _ => Grade::Poor,
        }
    }
}

fn usefulness(report: &Report, category: &str, scenario: Scenario, title: &str) -> Option<Finding> {
    let find = |scenario: Scenario| -> Option<&UtilityRow> {
        report.utility.iter().find(|r| {
            r.category == category
                && r.scenario == scenario
                && r.view == View::Bits
                && r.classifier == Classifier::Forest
        })
    };
    let (row, ceiling) = (find(scenario)?, find(Scenario::RealReal));
    let mean = row.accuracy.mean;
    let text = format!(
        "of {category} labels right, {} (forest, bits without leak-prone fields, {} to {}); real → \
         real {}, guessing {:.0} %.",
        scenario.name(),
        percent(row.accuracy.low),
        percent(row.accuracy.high),
        ceiling.map_or_else(|| "–".to_owned(), |c| percent(c.accuracy.mean)),
        100.0 * row.chance
    );
    let grade = ceiling.map_or(Grade::Unknown, |c| {
        let way = (mean - row.chance) / (c.accuracy.mean - row.chance).max(1e-9);
        match () {
            () if c.accuracy.mean <= row.chance => Grade::Unknown,
            () if way >= 0.7 => Grade::Good,
            () if way >= 0.2 => Grade::Middling,
            () => Grade::Poor,
        }
    });
    Some(Finding { title: title.to_owned(), value: percent(mean), text, grade })
}

fn percent(v: f64) -> String {
    format!("{:.0} %", 100.0 * v)
}
