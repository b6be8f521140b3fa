//! The text of a template: what is simple about it, and where its fields are.

/// A part of a simple template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Text(String),
    Field(String),
    /// `{{json .}}`
    Document,
}

/// The parts of a template that only puts fields between text; `None` if it does more.
pub(super) fn simple(source: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        if !text.is_empty() {
            segments.push(Segment::Text(text.to_owned()));
        }
        let (action, after) = after.split_once("}}")?;
        segments.push(match action.trim_matches(' ') {
            "json ." => Segment::Document,
            field => Segment::Field(is_name(field.strip_prefix('.')?)?.to_owned()),
        });
        rest = after;
    }
    if rest.contains("}}") {
        return None;
    }
    segments.push(Segment::Text(rest.to_owned()));
    Some(segments)
}

/// A part of a template that only puts members of members between text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Path(Vec<&'a str>),
}

/// The parts of a template that has only paths; `None` if it does more.
pub(super) fn paths(source: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        parts.push(Part::Text(text));
        let (action, after) = after.split_once("}}")?;
        let path = action.trim_matches(' ').strip_prefix('.')?;
        parts.push(Part::Path(path.split('.').map(is_name).collect::<Option<_>>()?));
        rest = after;
    }
    if rest.contains("}}") {
        return None;
    }
    parts.push(Part::Text(rest));
    Some(parts)
}

fn is_name(name: &str) -> Option<&str> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    (!name.is_empty() && name.chars().all(is_letter)).then_some(name)
}

/// The template with `.Label "x"` as the call that `gotmpl` understands.
pub(super) fn with_calls(source: &str) -> String {
    let mut result = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        result.push_str(text);
        result.push_str("{{");
        let (action, after) = match after.find("}}") {
            Some(end) => after.split_at(end),
            None => (after, ""),
        };
        push_action(&mut result, action);
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Copies an action, with `call ` before each `.Label` that has an argument.
fn push_action(result: &mut String, action: &str) {
    const LABEL: &str = ".Label ";
    let mut rest = action;
    while let Some(position) = rest.find(LABEL) {
        let (before, after) = rest.split_at(position);
        let has_argument = after[LABEL.len()..].trim_start().starts_with(['"', '`', '$', '(']);
        // `$.Label` and `$x.Label` are called by their whole name.
        let start = before
            .rfind(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$')))
            .map_or(0, |end| end + 1);
        let is_variable = before[start..].starts_with('$');
        let start = if is_variable { start } else { before.len() };
        result.push_str(&before[..start]);
        if has_argument {
            result.push_str("call ");
        }
        result.push_str(&before[start..]);
        result.push_str(LABEL);
        rest = &after[LABEL.len()..];
    }
    result.push_str(rest);
}

/// Where a field is asked for.
pub(super) fn position(source: &str, field: &str) -> Option<usize> {
    let needle = format!(".{field}");
    let mut from = 0;
    while let Some(found) = source[from..].find(&needle) {
        let end = from + found + needle.len();
        let goes_on = source[end..]
            .starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        if !goes_on {
            return Some(from + found);
        }
        from = end;
    }
    None
}

/// The line, the column and the whole expression in which a field is asked for.
pub(super) fn locate(source: &str, field: &str) -> (usize, usize, String) {
    let Some(position) = position(source, field) else { return (1, 2, ".".to_owned()) };
    let is_part =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '$');
    let start = source[..position].rfind(|letter: char| !is_part(letter)).map_or(0, |end| end + 1);
    let end = source[position..]
        .find(|letter: char| !is_part(letter))
        .map_or(source.len(), |length| position + length);
    let line_start = source[..position].rfind('\n').map_or(0, |newline| newline + 1);
    let line = source[..position].matches('\n').count() + 1;
    (line, position - line_start, source[start..end].to_owned())
}
