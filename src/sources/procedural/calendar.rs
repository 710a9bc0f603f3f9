//! The Gregorian calendar as plain arithmetic on day numbers.

use std::fmt;

use rand::Rng as _;

use super::{Rng, english::ordinal};

/// The names of the months.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The names of the days of the week, from Monday.
pub(super) const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
}

/// How a date is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum DateStyle {
    /// "2024-02-29"
    Iso,
    /// "29 February 2024"
    DayFirst,
    /// "February 29, 2024"
    MonthFirst,
    /// "the 29th of February 2024"
    Spoken,
}

impl Date {
    /// A day from 1900 to 2099.
    pub(super) fn draw(rng: &mut Rng) -> Date {
        Date::from_day_number(rng.random_range(-25_567..=47_481))
    }

    /// Days since 1 January 1970.
    ///
    /// Years are counted from March, so that the leap day comes last (Hinnant, "chrono-compatible low-level date
    /// algorithms", `days_from_civil`).
    pub(super) fn day_number(self) -> i64 {
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The inverse of [`Date::day_number`] (Hinnant, `civil_from_days`).
    pub(super) fn from_day_number(days: i64) -> Date {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Date {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day,
        }
    }

    /// This many days later, or earlier if negative.
    pub(super) fn plus_days(self, days: i64) -> Date {
        Date::from_day_number(self.day_number() + days)
    }

    /// The day of the week. Day number 0 was a Thursday.
    pub(super) fn weekday(self) -> &'static str {
        WEEKDAYS[(self.day_number() + 3).rem_euclid(7) as usize]
    }

    /// The date as text.
    pub(super) fn written(self, style: DateStyle) -> String {
        let Date { year, month, day } = self;
        let name = MONTHS[month as usize - 1];
        match style {
            DateStyle::Iso => self.to_string(),
            DateStyle::DayFirst => format!("{day} {name} {year}"),
            DateStyle::MonthFirst => format!("{name} {day}, {year}"),
            DateStyle::Spoken => format!("the {} of {name} {year}", ordinal(day)),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Whether a year has a 29 February.
pub(super) fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days a month has; months count from 1.
pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_centuries_are_walked_day_by_day() {
        let mut date = Date {
            year: 1900,
            month: 1,
            day: 1,
        };
        let mut weekday = 0; // 1 January 1900 was a Monday.
        for number in -25_567..=47_481 {
            assert_eq!(date.day_number(), number);
            assert_eq!(Date::from_day_number(number), date);
            assert_eq!(date.weekday(), WEEKDAYS[weekday]);
            weekday = (weekday + 1) % 7;
            date.day += 1;
            if date.day > days_in_month(date.year, date.month) {
                date.day = 1;
                date.month += 1;
            }
            if date.month > 12 {
                date.month = 1;
                date.year += 1;
            }
        }
        assert_eq!(
            date,
            Date {
                year: 2100,
                month: 1,
                day: 1
            }
        );
    }

    #[test]
    fn dates_are_written_in_four_styles() {
        let date = Date {
            year: 2024,
            month: 2,
            day: 29,
        };
        let styles = [
            DateStyle::Iso,
            DateStyle::DayFirst,
            DateStyle::MonthFirst,
            DateStyle::Spoken,
        ];
        let written = styles.map(|style| date.written(style));
        assert_eq!(
            written,
            [
                "2024-02-29",
                "29 February 2024",
                "February 29, 2024",
                "the 29th of February 2024"
            ]
        );
    }
}
