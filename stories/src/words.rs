//! Splitting a command line into words, as a shell does.

/// Splits `line` at spaces. Single and double quotes keep words together.
///
/// There is nothing else: no variables, no backslashes, no globs. A story that needs
/// more passes its words one by one.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    assert!(quote.is_none(), "a quote is not closed in: {line}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_in_a_shell() {
        assert_eq!(split("run  --rm busybox"), ["run", "--rm", "busybox"]);
        assert_eq!(split("sh -c 'echo \"a b\"; exit 3'"), ["sh", "-c", "echo \"a b\"; exit 3"]);
        assert_eq!(split("-e A=\"b c\"d ''"), ["-e", "A=b cd", ""]);
    }
}
