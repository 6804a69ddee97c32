//! Moments on the command line: seconds since 1970, or a date and time in UTC.

use anyhow::{Context as _, bail};

const NS_PER_SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970 of `1700000000.25`, `2023-11-14`, `2023-11-14T22:13` or
/// `2023-11-14T22:13:20.25Z`.
pub fn parse(text: &str) -> anyhow::Result<i64> {
    let wrong = || format!("{text:?}: expected seconds since 1970 or 2023-11-14T22:13:20.5Z (UTC)");
    let whole = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let Some((date, time)) = whole.split_once(['T', 't', ' ']).or_else(|| date_only(whole)) else {
        return nanoseconds(whole).with_context(wrong);
    };
    let day = days(date).with_context(wrong)?;
    let mut parts = time.split(':');
    let mut number = |limit: i64| -> anyhow::Result<i64> {
        match parts.next().map(str::parse) {
            None => Ok(0),
            Some(Ok(number)) if (0..limit).contains(&number) => Ok(number),
            Some(_) => bail!("hours or minutes"),
        }
    };
    let (hours, minutes) = (number(24).with_context(wrong)?, number(60).with_context(wrong)?);
    let seconds = nanoseconds(parts.next().unwrap_or("0")).with_context(wrong)?;
    if parts.next().is_some() || !(0..60 * NS_PER_SECOND).contains(&seconds) {
        bail!(wrong());
    }
    let minutes = (day * 24 + hours) * 60 + minutes;
    let start = minutes.checked_mul(60 * NS_PER_SECOND).with_context(wrong)?;
    start.checked_add(seconds).with_context(wrong)
}

/// Nanoseconds of a number of seconds, which may have a fraction.
pub fn nanoseconds(text: &str) -> anyhow::Result<i64> {
    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |digits| (digits, -1));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        bail!("{text:?}: expected seconds, with at most 9 decimals");
    }
    let ns = format!("{fraction:0<9}").parse::<i64>()?;
    let seconds = whole.parse::<i64>().with_context(|| text.to_owned())?;
    let seconds = seconds.checked_mul(NS_PER_SECOND).with_context(|| text.to_owned())?;
    Ok(sign * seconds.checked_add(ns).with_context(|| text.to_owned())?)
}

fn date_only(text: &str) -> Option<(&str, &str)> {
    text.get(1..).is_some_and(|rest| rest.contains('-')).then_some((text, "0"))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..usize::try_from(month - 1).ok()?)?;
    let length = *lengths.get(before.len())?;
    if parts.next().is_some() || !(1970..2262).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    Some(years + before.iter().sum::<i64>() + day - 1)
}
