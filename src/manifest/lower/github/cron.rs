//! Schedules in cron's format, as far as GitHub takes them.

use std::collections::BTreeSet;

/// The shortest interval that GitHub takes, in minutes.
const SHORTEST_INTERVAL: u32 = 5;
const MINUTES_PER_HOUR: u32 = 60;

/// The fields: the name, the lowest and highest value, and the names of the values from the lowest on.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day", 1, 31, &[]),
    (
        "month",
        1,
        12,
        &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    ),
    (
        "weekday",
        0,
        6,
        &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ),
];

/// Why GitHub would refuse a schedule.
pub(super) fn refusal(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
    if fields.len() != FIELDS.len() {
        let count = fields.len();
        return Some(format!(
            "a schedule has 5 fields, and this has {count}: minute, hour, day, month, weekday"
        ));
    }
    let mut values = Vec::new();
    for (field, (name, low, high, names)) in fields.iter().zip(FIELDS) {
        match parse_field(field, low, high, names) {
            Some(parsed) => values.push(parsed),
            None => {
                return Some(format!(
                    "`{field}` is no {name}: it is from {low} to {high}"
                ));
            }
        }
    }
    let interval = shortest_interval(&values[0], &values[1]);
    (interval < SHORTEST_INTERVAL)
        .then(|| format!("it would run every {interval} min, and GitHub runs at most every 5"))
}

/// The values of a field: a list of values, ranges, and steps through them.
fn parse_field(field: &str, low: u32, high: u32, names: &[&str]) -> Option<BTreeSet<u32>> {
    let value = |text: &str| {
        let named = names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(index) => low + u32::try_from(index).ok()?,
            None if text.chars().all(|c| c.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (low..=high).contains(&number).then_some(number)
    };
    let mut values = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (value(from)?, value(to)?),
            None if part.contains('/') => (value(range)?, high),
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return None;
        }
        values.extend((from..=to).step_by(step));
    }
    Some(values)
}

/// The shortest time between two runs of one day, or over midnight, in minutes.
fn shortest_interval(minutes: &BTreeSet<u32>, hours: &BTreeSet<u32>) -> u32 {
    let runs: Vec<u32> = hours
        .iter()
        .flat_map(|hour| {
            minutes
                .iter()
                .map(move |minute| hour * MINUTES_PER_HOUR + minute)
        })
        .collect();
    let day = 24 * MINUTES_PER_HOUR;
    let next = runs.iter().skip(1).copied();
    let over_midnight = runs.first().map(|first| first + day);
    let gaps = runs.iter().zip(next.chain(over_midnight));
    gaps.map(|(earlier, later)| later - earlier)
        .min()
        .unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn takes_what_github_takes() {
        for text in [
            "17 5 * * *",
            "*/5 * * * *",
            "0,30 8-18/2 * * MON-FRI",
            "59 23 31 dec 0",
            "7 0 1/7 * *",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_github_refuses() {
        for (text, why) in [
            ("@daily", "5 fields, and this has 1"),
            ("17 5 * *", "5 fields, and this has 4"),
            ("60 5 * * *", "`60` is no minute"),
            ("7 24 * * *", "`24` is no hour"),
            ("7 5 0 * *", "`0` is no day"),
            ("7 5 * 13 *", "`13` is no month"),
            ("7 5 * * 7", "`7` is no weekday"),
            ("7-3 5 * * *", "`7-3` is no minute"),
            ("*/0 5 * * *", "`*/0` is no minute"),
            ("+7 5 * * *", "`+7` is no minute"),
            ("*/4 * * * *", "every 4 min"),
            ("0,58 * * * *", "every 2 min"),
            ("1,59 0,23 * * *", "every 2 min"),
            ("* 5 * * *", "every 1 min"),
        ] {
            let refusal = refusal(text).unwrap_or_default();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
