//! `--filter`: `NAME=VALUE`, several together.

use docker_api::Filters;

/// One filter, checked as a flag's value.
pub(crate) fn check(value: &str) -> Result<String, String> {
    if !value.is_empty() && !value.contains('=') {
        return Err("bad format of filter (expected name=value)".to_owned());
    }
    Ok(value.to_owned())
}

/// All filters as the API wants them.
pub(crate) fn parse(values: &[String]) -> Filters {
    let mut filters = Filters::default();
    for value in values {
        if let Some((name, value)) = value.split_once('=') {
            filters.add(&name.trim().to_lowercase(), value.trim());
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    #[test]
    fn filters_of_one_name_are_kept_together() {
        let values = ["label=a=b".to_owned(), " Label = c ".to_owned(), String::new()];
        let filters = super::parse(&values);
        assert_eq!(filters.to_json(), r#"{"label":{"a=b":true,"c":true}}"#);
        assert_eq!(super::check("x"), Err("bad format of filter (expected name=value)".to_owned()));
    }
}
