//! A command line of `--name value`, `--flag` and plain words, taken apart piece by piece; what is left over is an error.

use std::str::FromStr;

use super::Failure;

/// What is left of the command line.
#[derive(Debug)]
pub struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    /// A command line without the name of its program.
    pub fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Takes the first word.
    pub fn command(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Takes `name`, such as `--long`; true if it was there.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() != before
    }

    /// Takes `name VALUE` or `name=VALUE`.
    pub fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let assigned = format!("{name}=");
        let Some(at) = self.words.iter().position(|word| word == name || word.starts_with(&assigned)) else {
            return Ok(None);
        };
        let word = self.words.remove(at);
        let value = match word.strip_prefix(&assigned) {
            Some(value) => value.to_owned(),
            None if at < self.words.len() => self.words.remove(at),
            None => return Err(Failure::Usage(format!("{name} needs a value"))),
        };
        let parsed = value.parse().map_err(|_| Failure::Usage(format!("{name} cannot be {value:?}")));
        parsed.map(Some)
    }

    /// Takes the one plain word there may be; anything else left is wrong.
    pub fn word(mut self) -> Result<Option<String>, Failure> {
        let word = self.words.iter().position(|word| !word.starts_with('-')).map(|at| self.words.remove(at));
        self.nothing()?;
        Ok(word)
    }

    /// What is left, as it is.
    pub fn rest(self) -> Vec<String> {
        self.words
    }

    /// Nothing may be left.
    pub fn nothing(self) -> Result<(), Failure> {
        match self.words.first() {
            Some(word) => Err(Failure::Usage(format!("{word:?} is not understood"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn values_flags_and_words_in_any_order() {
        let mut line = arguments("test --seconds 5 orders --long --target=x");
        assert_eq!(line.command().as_deref(), Some("test"));
        assert!(line.flag("--long"));
        assert!(!line.flag("--short"));
        assert_eq!(line.value::<u32>("--seconds").unwrap(), Some(5));
        assert_eq!(line.value::<String>("--target").unwrap().as_deref(), Some("x"));
        assert_eq!(line.value::<u32>("--brokers").unwrap(), None);
        assert_eq!(line.word().unwrap().as_deref(), Some("orders"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(matches!(arguments("--no-such").nothing(), Err(Failure::Usage(_))));
        assert!(matches!(arguments("one two").word(), Err(Failure::Usage(_))));
        assert!(matches!(arguments("--seconds").value::<u32>("--seconds"), Err(Failure::Usage(_))));
        assert!(matches!(arguments("--seconds many").value::<u32>("--seconds"), Err(Failure::Usage(_))));
    }
}
