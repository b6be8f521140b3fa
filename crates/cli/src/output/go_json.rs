//! JSON as Go writes it: no spaces, and `<`, `>` and `&` escaped where Go escapes them.

use serde_json::Value;

/// The document, with letters escaped that mean something in HTML.
pub(crate) fn escaped(value: &Value) -> String {
    escape_html(&value.to_string())
}

/// Escapes in a document that is text already. The letters can be in strings only.
pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A document with new indentation and otherwise as it was, to the letter.
pub(crate) fn indent(text: &str, step: &str) -> String {
    let mut layout = Layout { text: String::with_capacity(text.len() * 2), step, depth: 0 };
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                layout.text.push('"');
                let mut is_escaped = false;
                for letter in letters.by_ref() {
                    layout.text.push(letter);
                    if letter == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = letter == '\\' && !is_escaped;
                }
            }
            '{' | '[' => {
                layout.text.push(letter);
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                match letters.next_if(|letter| matches!(letter, '}' | ']')) {
                    Some(end) => layout.text.push(end),
                    None => layout.open(),
                }
            }
            '}' | ']' => {
                layout.close();
                layout.text.push(letter);
            }
            ',' => {
                layout.text.push(',');
                layout.line();
            }
            ':' => layout.text.push_str(": "),
            letter if letter.is_ascii_whitespace() => {}
            letter => layout.text.push(letter),
        }
    }
    layout.text
}

/// A document without any white space that has no meaning.
pub(crate) fn compact(text: &str) -> String {
    let mut compacted = String::with_capacity(text.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for letter in text.chars() {
        if in_string || !letter.is_ascii_whitespace() {
            compacted.push(letter);
        }
        if letter == '"' && !is_escaped {
            in_string = !in_string;
        }
        is_escaped = in_string && letter == '\\' && !is_escaped;
    }
    compacted
}

struct Layout<'a> {
    text: String,
    step: &'a str,
    depth: usize,
}

impl Layout<'_> {
    fn line(&mut self) {
        self.text.push('\n');
        for _ in 0..self.depth {
            self.text.push_str(self.step);
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        self.line();
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line();
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{compact, indent};

    #[test]
    fn indentation_keeps_every_letter() {
        let text = r#"[{"a":1.50,"b":[],"c":{ },"d":["x\"]",null]}]"#;
        expect![[r#"
            [
                {
                    "a": 1.50,
                    "b": [],
                    "c": {},
                    "d": [
                        "x\"]",
                        null
                    ]
                }
            ]"#]]
        .assert_eq(&indent(text, "    "));
        assert_eq!(compact(&indent(text, "  ")), text.replace("{ }", "{}"));
    }
}
