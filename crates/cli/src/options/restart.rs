//! `--restart`: what happens after a container's process has ended.

/// A policy's name and, for `on-failure`, how often at most.
pub(crate) fn parse(policy: &str) -> Result<(String, i64), String> {
    let error = |reason| format!("invalid restart policy format: {reason}");
    let (name, count) = policy.split_once(':').unwrap_or((policy, ""));
    if name.is_empty() && policy.contains(':') {
        return Err(error("no policy provided before colon"));
    }
    let count = if count.is_empty() {
        0
    } else {
        count.parse().map_err(|_| error("maximum retry count must be an integer"))?
    };
    Ok((name.to_owned(), count))
}

/// Whether the policy never restarts, so that `--rm` may go with it.
pub(crate) fn is_none(name: &str) -> bool {
    matches!(name, "" | "no")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_policy_may_have_a_count() {
        assert_eq!(parse(""), Ok((String::new(), 0)));
        assert_eq!(parse("always"), Ok(("always".to_owned(), 0)));
        assert_eq!(parse("on-failure:3"), Ok(("on-failure".to_owned(), 3)));
    }

    #[test]
    fn a_bad_policy_is_refused() {
        assert_eq!(
            parse(":3"),
            Err("invalid restart policy format: no policy provided before colon".to_owned())
        );
        assert_eq!(
            parse("on-failure:x"),
            Err("invalid restart policy format: maximum retry count must be an integer".to_owned())
        );
    }
}
