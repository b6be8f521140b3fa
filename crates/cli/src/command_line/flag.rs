//! One flag: its spelling, the values it takes, and how the help shows it.

/// Checks one value of a flag, and may put it into its usual form.
pub(crate) type Check = fn(&str) -> Result<String, String>;

/// A flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    /// What the flag is worth when it is not given.
    pub(crate) default: &'static str,
    /// How the help shows that, where it shows it at all.
    pub(crate) default_shown: Option<&'static str>,
    pub(crate) check: Option<Check>,
    pub(crate) visibility: Visibility,
    /// The flag that this one is only another spelling of.
    pub(crate) same_as: Option<&'static str>,
}

/// What a flag's value is, which is also what the help calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Text,
    Int,
    Uint,
    Uint16,
    Duration,
    /// Any number of values.
    List,
    /// Any number of values, several of which may stand between commas.
    Strings,
    /// A value with a syntax of its own, under the name that the help gives it.
    Other(&'static str),
}

/// Who is told about a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Shown,
    /// Works, but the help does not speak of it.
    Hidden,
    /// Works, and says what to use instead.
    Deprecated(&'static str),
    /// Known to Docker's client, and not done here: refused by name.
    Refused,
}

impl Flag {
    const fn new(long: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            long,
            short: None,
            about,
            kind,
            default: "",
            default_shown: None,
            check: None,
            visibility: Visibility::Shown,
            same_as: None,
        }
    }

    pub(crate) const fn switch(long: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(long, Kind::Switch, about);
        flag.default = "false";
        flag
    }

    pub(crate) const fn text(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Text, about)
    }

    pub(crate) const fn int(long: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(long, Kind::Int, about);
        flag.default = "0";
        flag
    }

    pub(crate) const fn uint16(long: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(long, Kind::Uint16, about);
        flag.default = "0";
        flag
    }

    pub(crate) const fn uint(long: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(long, Kind::Uint, about);
        flag.default = "0";
        flag
    }

    pub(crate) const fn duration(long: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(long, Kind::Duration, about);
        flag.default = "0s";
        flag
    }

    pub(crate) const fn list(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::List, about)
    }

    pub(crate) const fn strings(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Strings, about)
    }

    /// A flag whose value has a syntax of its own.
    pub(crate) const fn other(
        long: &'static str,
        kind: &'static str,
        about: &'static str,
        check: Check,
    ) -> Self {
        let mut flag = Self::new(long, Kind::Other(kind), about);
        flag.check = Some(check);
        flag
    }

    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The value without the flag, shown in the help.
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self.default_shown = Some(value);
        self
    }

    /// What the help shows as the default of a value that starts empty.
    pub(crate) const fn default_shown(mut self, value: &'static str) -> Self {
        self.default_shown = Some(value);
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.visibility = Visibility::Hidden;
        self
    }

    pub(crate) const fn deprecated(mut self, advice: &'static str) -> Self {
        self.visibility = Visibility::Deprecated(advice);
        self
    }

    pub(crate) const fn refused(mut self) -> Self {
        self.visibility = Visibility::Refused;
        self
    }

    pub(crate) const fn same_as(mut self, long: &'static str) -> Self {
        self.same_as = Some(long);
        self
    }

    /// The name that values are kept under.
    pub(crate) const fn key(&self) -> &'static str {
        match self.same_as {
            Some(long) => long,
            None => self.long,
        }
    }

    /// The word for the value in the help, if it takes one.
    pub(crate) const fn value_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Switch => None,
            Kind::Text => Some("string"),
            Kind::Int => Some("int"),
            Kind::Uint => Some("uint"),
            Kind::Uint16 => Some("uint16"),
            Kind::Duration => Some("duration"),
            Kind::List => Some("list"),
            Kind::Strings => Some("strings"),
            Kind::Other(name) => Some(name),
        }
    }

    /// The flag as an error message names it: `-m, --memory`.
    pub(crate) fn display_name(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}
