//! `--gpus`: devices that a driver of the daemon's chooses.

use std::collections::BTreeMap;

use docker_api::containers::DeviceRequest;

use super::csv;

/// What every such request is for.
const CAPABILITY: &str = "gpu";

/// Stands for every device there is.
const ALL: &str = "all";

/// Checks one value of the flag.
pub(crate) fn check(value: &str) -> Result<String, String> {
    parse(value).map(|_| value.to_owned())
}

/// Reads `all`, a number, or `driver=…,count=…,"device=…","capabilities=…","options=…"`.
pub(crate) fn parse(value: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    for field in csv::split(value)? {
        let pair = field.split_once('=');
        let key = pair.map_or(field.as_str(), |(key, _)| key);
        if seen.iter().any(|other| other == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        match pair {
            Some((key, value)) => set(&mut request, key, value, &field)?,
            None => {
                seen.push("count".to_owned());
                request.count = count(&field)?;
            }
        }
    }
    if request.device_ids.is_none() && !seen.iter().any(|key| key == "count") {
        request.count = 1;
    }
    request.options.get_or_insert_default();
    request.capabilities.get_or_insert_with(|| vec![vec![CAPABILITY.to_owned()]]);
    Ok(request)
}

fn set(request: &mut DeviceRequest, key: &str, value: &str, field: &str) -> Result<(), String> {
    let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    match key {
        "driver" => value.clone_into(&mut request.driver),
        "count" => request.count = count(value)?,
        "device" => request.device_ids = Some(words(value)),
        "capabilities" => {
            let mut capabilities = words(value);
            capabilities.push(CAPABILITY.to_owned());
            request.capabilities = Some(vec![capabilities]);
        }
        "options" => {
            let pairs = csv::split(value)?.into_iter().map(|pair| match pair.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (pair, String::new()),
            });
            request.options = Some(pairs.collect::<BTreeMap<_, _>>());
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn count(text: &str) -> Result<i64, String> {
    if text == ALL {
        return Ok(-1);
    }
    text.parse().map_err(|_| {
        let reason = match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            true => "value out of range",
            false => "invalid syntax",
        };
        format!("invalid count ({text}): value must be either \"all\" or an integer: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_number_or_fields() {
        assert_eq!(parse("all").unwrap().count, -1);
        assert_eq!(parse("2").unwrap().count, 2);
        let request = parse("driver=nvidia,\"capabilities=compute,utility\"").unwrap();
        assert_eq!((request.count, request.driver.as_str()), (1, "nvidia"));
        let capabilities = ["compute", "utility", "gpu"].map(str::to_owned).to_vec();
        assert_eq!(request.capabilities, Some(vec![capabilities]));
        let request = parse("\"device=0,1\"").unwrap();
        assert_eq!(request.count, 0);
        assert_eq!(request.device_ids, Some(vec!["0".to_owned(), "1".to_owned()]));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse("foo=bar"), Err("unexpected key 'foo' in 'foo=bar'".to_owned()));
        assert_eq!(
            parse("x"),
            Err("invalid count (x): value must be either \"all\" or an integer: invalid syntax"
                .to_owned())
        );
        assert_eq!(
            parse("1,count=2"),
            Err("gpu request key 'count' can be specified only once".to_owned())
        );
    }
}
