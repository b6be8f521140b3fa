//! Words of an instruction: quotes, backslashes, and variables.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use crate::change::ChangeError;

/// Splits at white space that is not within quotes. Quotes and backslashes stay.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (character, None) if character.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\\', None | Some('"')) => {
                word.push('\\');
                word.extend(characters.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (character, Some(open)) if character == open => quote = None,
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Variables by name.
#[derive(Debug, Default)]
pub(super) struct Environment(HashMap<String, String>);

impl Environment {
    /// Takes `NAME=value` entries.
    pub(super) fn new(entries: &[String]) -> Self {
        let pairs = entries.iter().filter_map(|entry| entry.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(super) fn extend(&mut self, variables: &[(String, String)]) {
        self.0.extend(variables.iter().cloned());
    }

    /// Takes quotes and backslashes off, and puts variables' values in.
    pub(super) fn expand(&self, word: &str) -> Result<String, ChangeError> {
        let mut expansion = Expansion { environment: self, rest: word.chars().peekable() };
        expansion.run(None).map_err(|reason| ChangeError::Word { word: word.to_owned(), reason })
    }
}

/// A word that is being expanded.
struct Expansion<'a> {
    environment: &'a Environment,
    rest: Peekable<Chars<'a>>,
}

impl Expansion<'_> {
    /// Expands up to `end`, which is taken, or to the end of the word.
    fn run(&mut self, end: Option<char>) -> Result<String, String> {
        let mut expanded = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                character if Some(character) == end => return Ok(expanded),
                '\'' => self.single_quoted(&mut expanded)?,
                '"' => self.double_quoted(&mut expanded)?,
                '$' => expanded.push_str(&self.variable()?),
                // A backslash at the very end stands for itself.
                '\\' => expanded.push(self.rest.next().unwrap_or('\\')),
                other => expanded.push(other),
            }
        }
        match end {
            None => Ok(expanded),
            Some(_) => Err("syntax error: missing '}'".to_owned()),
        }
    }

    fn single_quoted(&mut self, expanded: &mut String) -> Result<(), String> {
        for character in self.rest.by_ref() {
            if character == '\'' {
                return Ok(());
            }
            expanded.push(character);
        }
        Err("unexpected end of statement while looking for matching single-quote".to_owned())
    }

    fn double_quoted(&mut self, expanded: &mut String) -> Result<(), String> {
        while let Some(character) = self.rest.next() {
            match character {
                '"' => return Ok(()),
                '$' => expanded.push_str(&self.variable()?),
                '\\' => match self.rest.next() {
                    Some(escaped @ ('"' | '$' | '\\')) => expanded.push(escaped),
                    Some(other) => expanded.extend(['\\', other]),
                    None => break,
                },
                other => expanded.push(other),
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".to_owned())
    }

    /// What follows a `$`.
    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(self.environment.0.get(&name).cloned().unwrap_or_default())
    }

    /// `${name}`, or with what to do if there is no such variable, or if there is.
    fn braced(&mut self) -> Result<String, String> {
        let name = self.name();
        if name.is_empty() {
            return Err("syntax error: bad substitution".to_owned());
        }
        let value = self.environment.0.get(&name).cloned();
        let empty_counts = self.rest.next_if_eq(&':').is_none();
        let is_set = value.as_ref().is_some_and(|value| empty_counts || !value.is_empty());
        match self.rest.next() {
            Some('}') if empty_counts => Ok(value.unwrap_or_default()),
            Some('-') => {
                let default = self.run(Some('}'))?;
                Ok(value.filter(|_| is_set).unwrap_or(default))
            }
            Some('+') => {
                let alternative = self.run(Some('}'))?;
                Ok(if is_set { alternative } else { String::new() })
            }
            Some('?') => {
                let message = self.run(Some('}'))?;
                value.filter(|_| is_set).ok_or_else(|| match message.as_str() {
                    "" => format!("{name}: is not allowed to be unset"),
                    message => format!("{name}: {message}"),
                })
            }
            Some(other) => Err(format!("unsupported modifier ({other}) in substitution")),
            None => Err("syntax error: missing '}'".to_owned()),
        }
    }

    /// A name, or a single digit.
    fn name(&mut self) -> String {
        if let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            return digit.to_string();
        }
        let mut name = String::new();
        while let Some(character) =
            self.rest.next_if(|character| character.is_ascii_alphanumeric() || *character == '_')
        {
            name.push(character);
        }
        name
    }
}
