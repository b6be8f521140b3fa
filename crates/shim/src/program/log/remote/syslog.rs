//! Syslog's message formats, as Docker writes them.

use std::io::Write as _;

use shim::protocol::SyslogFormat;

use super::{Encode, Message};
use crate::log::Source;
use crate::log::json_text::date;
use crate::log::lines::Entry;

/// Syslog's severities.
const ERROR: u8 = 3;
const INFORMATION: u8 = 6;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[derive(Debug)]
struct Syslog {
    facility: u8,
    format: SyslogFormat,
    hostname: String,
    tag: String,
    pid: i32,
}

pub(super) fn encoder(
    facility: u8,
    format: SyslogFormat,
    hostname: &str,
    tag: &str,
) -> Box<dyn Encode> {
    Box::new(Syslog {
        facility,
        format,
        hostname: hostname.to_owned(),
        tag: tag.to_owned(),
        pid: rustix::process::getpid().as_raw_nonzero().get(),
    })
}

impl Encode for Syslog {
    fn encode(&mut self, source: Source, entry: &Entry<'_>) -> Option<Message> {
        if entry.text.is_empty() {
            return None;
        }
        let severity = if source == Source::Stderr { ERROR } else { INFORMATION };
        let priority = u32::from(self.facility) << 3 | u32::from(severity);
        let offset = linux::local_time::utc_offset(entry.unix_nanoseconds / 1_000_000_000);
        let time = Moment::new(entry.unix_nanoseconds, offset);
        let Self { hostname, tag, pid, .. } = self;
        let mut bytes = Vec::with_capacity(entry.text.len() + 128);
        let written = match self.format {
            SyslogFormat::Local => {
                write!(bytes, "<{priority}>{} {tag}[{pid}]: ", time.stamp())
            }
            SyslogFormat::Rfc3164 => {
                write!(bytes, "<{priority}>{} {hostname} {tag}[{pid}]: ", time.stamp())
            }
            SyslogFormat::Rfc5424 => {
                let time = time.rfc3339(false);
                write!(bytes, "<{priority}>1 {time} {hostname} {tag} {pid} {tag} - ")
            }
            SyslogFormat::Rfc5424Micro => {
                let time = time.rfc3339(true);
                write!(bytes, "<{priority}>1 {time} {hostname} {tag} {pid} {tag} - ")
            }
        };
        written.expect("a vector takes every byte");
        bytes.extend_from_slice(entry.text);
        bytes.push(b'\n');
        Some(Message::new(bytes))
    }
}

/// A moment on the clock on the wall.
struct Moment {
    date: (i64, i64, i64),
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// Minutes that the clock is ahead of UTC.
    ahead: i32,
}

impl Moment {
    fn new(unix_nanoseconds: i64, utc_offset: i32) -> Self {
        let seconds = unix_nanoseconds.div_euclid(1_000_000_000) + i64::from(utc_offset);
        let second = seconds.rem_euclid(86_400);
        Self {
            date: date(seconds.div_euclid(86_400)),
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            microsecond: unix_nanoseconds.rem_euclid(1_000_000_000) / 1000,
            ahead: utc_offset / 60,
        }
    }

    /// `Nov  9 10:11:12`
    fn stamp(&self) -> String {
        let Self { date: (_, month, day), hour, minute, second, .. } = self;
        let month = MONTHS[usize::try_from(month - 1).expect("a month's number is 1 to 12")];
        format!("{month} {day:2} {hour:02}:{minute:02}:{second:02}")
    }

    fn rfc3339(&self, has_microseconds: bool) -> String {
        let Self { date: (year, month, day), hour, minute, second, .. } = self;
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if has_microseconds {
            text.push_str(&format!(".{:06}", self.microsecond));
        }
        match self.ahead {
            0 => text.push('Z'),
            ahead => {
                let sign = if ahead < 0 { '-' } else { '+' };
                let (hours, minutes) = (ahead.abs() / 60, ahead.abs() % 60);
                text.push_str(&format!("{sign}{hours:02}:{minutes:02}"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_go_does() {
        // 2026-01-02T23:04:05.000006 UTC
        let nanoseconds = 1_767_395_045_000_006_000;
        let moment = Moment::new(nanoseconds, 0);
        assert_eq!(moment.stamp(), "Jan  2 23:04:05");
        assert_eq!(moment.rfc3339(false), "2026-01-02T23:04:05Z");
        assert_eq!(moment.rfc3339(true), "2026-01-02T23:04:05.000006Z");
        let ahead = Moment::new(nanoseconds, 2 * 3600);
        assert_eq!(ahead.rfc3339(false), "2026-01-03T01:04:05+02:00");
        let behind = Moment::new(nanoseconds, -(3 * 3600 + 1800));
        assert_eq!(behind.rfc3339(false), "2026-01-02T19:34:05-03:30");
    }

    #[test]
    fn an_empty_line_is_not_sent() {
        let mut encoder = encoder(3, SyslogFormat::Rfc3164, "host", "tag");
        let entry = Entry { text: b"", is_end: true, unix_nanoseconds: 0, ordinal: 0 };
        assert!(encoder.encode(Source::Stdout, &entry).is_none());
    }

    #[test]
    fn the_beginning_says_who_and_how_urgent() {
        let mut encoder = encoder(16, SyslogFormat::Rfc5424, "host", "tag");
        let entry = Entry { text: b"hello", is_end: true, unix_nanoseconds: 0, ordinal: 0 };
        let bytes = encoder.encode(Source::Stderr, &entry).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        let pid = std::process::id();
        assert!(text.starts_with("<131>1 19"), "{text}");
        assert!(text.ends_with(&format!(" host tag {pid} tag - hello\n")), "{text}");
    }
}
