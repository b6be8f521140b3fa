//! `--cpus`: a number of processors, as decimal or fraction.

/// A thousand-millionth of a processor, the unit of the API.
const NANO: i128 = 1_000_000_000;

/// The number of processors in units of 10⁻⁹, exactly.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let (numerator, denominator) =
        ratio(text).ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
    let nano = numerator * NANO;
    if nano % denominator != 0 {
        return Err("value is too precise".to_owned());
    }
    i64::try_from(nano / denominator)
        .map_err(|_| format!("failed to parse {text} as a rational number"))
}

/// Checked as a flag's value.
pub(crate) fn check(text: &str) -> Result<String, String> {
    parse(text).map(|nano| nano.to_string())
}

fn ratio(text: &str) -> Option<(i128, i128)> {
    if let Some((numerator, denominator)) = text.split_once('/') {
        let numerator: i64 = numerator.parse().ok()?;
        let denominator: u32 = denominator.parse().ok().filter(|&number| number > 0)?;
        return Some((i128::from(numerator), i128::from(denominator)));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i8>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.len() > 18 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse::<i64>().ok()?.into();
    let shift = i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
    if shift.unsigned_abs() > 18 {
        return None;
    }
    let power = 10_i128.pow(shift.unsigned_abs());
    Some(if shift < 0 { (digits, power) } else { (digits * power, 1) })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn processors_are_counted_exactly() {
        for (text, nano) in [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            ("1.25", 1_250_000_000),
            ("1/2", 500_000_000),
            ("5e-1", 500_000_000),
        ] {
            assert_eq!(parse(text), Ok(nano), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_fine_is_refused() {
        assert_eq!(parse("x"), Err("failed to parse x as a rational number".to_owned()));
        assert_eq!(parse("0.0000000001"), Err("value is too precise".to_owned()));
    }
}
