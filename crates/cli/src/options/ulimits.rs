//! `--ulimit`: `NAME=SOFT[:HARD]`.

use super::numbers;

/// Resources that may be limited. `as` is missing: the address space of the
/// container's first process also holds what prepares it.
const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ulimit {
    pub(crate) name: String,
    pub(crate) soft: i64,
    pub(crate) hard: i64,
}

/// Reads one limit; without a hard value it is the soft one.
pub(crate) fn parse(value: &str) -> Result<Ulimit, String> {
    let (name, limits) =
        value.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {value}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<_> = limits.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [both] => (decimal(both)?, None),
        [soft, hard] => {
            let hard = decimal(hard)?;
            (decimal(soft)?, Some(hard))
        }
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    let hard = hard.unwrap_or(soft);
    let order = "ulimit soft limit must be less than or equal to hard limit:";
    if hard != -1 && soft == -1 {
        return Err(format!("{order} soft: -1 (unlimited), hard: {hard}"));
    }
    if hard != -1 && soft > hard {
        return Err(format!("{order} {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// Checked as a flag's value.
pub(crate) fn check(value: &str) -> Result<String, String> {
    parse(value).map(|_| value.to_owned())
}

fn decimal(text: &str) -> Result<i64, String> {
    // Go reads these in base ten only, so a leading zero is nothing special.
    text.parse().map_err(|_| {
        numbers::parse_int(text).err().unwrap_or_else(|| {
            format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                crate::output::quote::quote(text)
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Ulimit, parse};

    #[test]
    fn one_value_is_both_limits() {
        let limit = |soft, hard| Ulimit { name: "nofile".to_owned(), soft, hard };
        assert_eq!(parse("nofile=64"), Ok(limit(64, 64)));
        assert_eq!(parse("nofile=64:128"), Ok(limit(64, 128)));
        assert_eq!(parse("nofile=64:-1"), Ok(limit(64, -1)));
    }

    #[test]
    fn a_bad_limit_is_refused() {
        for (value, error) in [
            ("nofile", "invalid ulimit argument: nofile"),
            ("as=1", "invalid ulimit type: as"),
            ("nofile=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            (
                "nofile=1:2:3",
                "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
            ),
        ] {
            assert_eq!(parse(value), Err(error.to_owned()), "{value}");
        }
    }
}
