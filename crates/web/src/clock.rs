//! Times as a page takes them, and as somebody at this device reads them.

use sheaf_core::time::Timestamp;

/// Milliseconds since 1970, as JavaScript counts. Exact: a double's 53 bits hold those of any era.
pub(crate) fn millis(at: Timestamp) -> f64 {
    at.as_millis() as f64
}

/// A minute by the device's own clock and calendar.
#[cfg(any(target_arch = "wasm32", test))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    year: u32,
    /// From 0 on.
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
}

#[cfg(any(target_arch = "wasm32", test))]
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// “14:02”; of another day, “24 Nov, 14:02”.
#[cfg(any(target_arch = "wasm32", test))]
fn said(at: Minute, now: Minute) -> String {
    let time = format!("{:02}:{:02}", at.hour, at.minute);
    if (at.year, at.month, at.day) == (now.year, now.month, now.day) {
        return time;
    }
    let month = MONTHS.get(at.month as usize).copied().unwrap_or_default();
    format!("{} {month}, {time}", at.day)
}

/// The time of day, and the day if it is not today.
#[cfg(target_arch = "wasm32")]
pub(crate) fn of_day(at: Timestamp) -> Option<String> {
    let local = |date: js_sys::Date| Minute {
        year: date.get_full_year(),
        month: date.get_month(),
        day: date.get_date(),
        hour: date.get_hours(),
        minute: date.get_minutes(),
    };
    let at = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(millis(at)));
    Some(said(local(at), local(js_sys::Date::new_0())))
}

/// Only a browser knows where it is.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn of_day(_: Timestamp) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_today_needs_no_day() {
        let now = Minute { year: 2026, month: 10, day: 26, hour: 21, minute: 40 };
        assert_eq!(said(Minute { hour: 9, minute: 2, ..now }, now), "09:02");
        assert_eq!(said(Minute { day: 24, hour: 14, minute: 2, ..now }, now), "24 Nov, 14:02");
        assert_eq!(said(Minute { year: 2025, ..now }, now), "26 Nov, 21:40");
    }
}
