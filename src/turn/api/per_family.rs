//! One of something for each address family, and which families there are.

use crate::wire::Family;

/// One or two address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// One of each.
    Both,
}

impl Families {
    /// All of them, in the order of the counters.
    pub const ALL: [Families; 3] = [Families::V4, Families::V6, Families::Both];

    /// One word for it, in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Families::V4 => "ipv4",
            Families::V6 => "ipv6",
            Families::Both => "both",
        }
    }

    /// The one that a family is by itself.
    pub const fn of(family: Family) -> Families {
        match family {
            Family::V4 => Families::V4,
            Family::V6 => Families::V6,
        }
    }

    /// The families, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> + Clone {
        let families: &'static [Family] = match self {
            Families::V4 => &[Family::V4],
            Families::V6 => &[Family::V6],
            Families::Both => &[Family::V4, Family::V6],
        };
        families.iter().copied()
    }
}

/// At most one value for each address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PerFamily<T> {
    v4: Option<T>,
    v6: Option<T>,
}

impl<T> Default for PerFamily<T> {
    fn default() -> PerFamily<T> {
        PerFamily { v4: None, v6: None }
    }
}

impl<T> PerFamily<T> {
    /// The value that `make` has for each family.
    pub fn from_fn(mut make: impl FnMut(Family) -> Option<T>) -> PerFamily<T> {
        PerFamily { v4: make(Family::V4), v6: make(Family::V6) }
    }

    /// The value of a family.
    pub const fn get(&self, family: Family) -> Option<&T> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The value of a family, to change it.
    pub const fn get_mut(&mut self, family: Family) -> Option<&mut T> {
        self.entry(family).as_mut()
    }

    /// Gives a family a value in place of what it had.
    pub fn set(&mut self, family: Family, value: T) {
        *self.entry(family) = Some(value);
    }

    /// Takes the value of a family away.
    pub const fn take(&mut self, family: Family) -> Option<T> {
        self.entry(family).take()
    }

    /// The values, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.v4.iter().chain(&self.v6)
    }

    /// The families that have a value; `None` when neither has one.
    pub const fn families(&self) -> Option<Families> {
        match (&self.v4, &self.v6) {
            (Some(_), None) => Some(Families::V4),
            (None, Some(_)) => Some(Families::V6),
            (Some(_), Some(_)) => Some(Families::Both),
            (None, None) => None,
        }
    }

    const fn entry(&mut self, family: Family) -> &mut Option<T> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

impl<T: Copy> PerFamily<T> {
    /// Each value turned into another one.
    pub fn map<U>(self, mut to: impl FnMut(T) -> U) -> PerFamily<U> {
        PerFamily { v4: self.v4.map(&mut to), v6: self.v6.map(to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_are_those_that_have_a_value() {
        let mut numbers = PerFamily::default();
        assert_eq!(numbers.families(), None);
        numbers.set(Family::V6, 6);
        assert_eq!(numbers.families(), Some(Families::of(Family::V6)));
        numbers.set(Family::V4, 4);
        assert_eq!(numbers.families(), Some(Families::Both));
        assert_eq!(Vec::from_iter(Families::Both.iter()), [Family::V4, Family::V6]);
        assert_eq!(Vec::from_iter(numbers.map(|n| n + 1).iter()), [&5, &7]);
        assert_eq!((numbers.take(Family::V6), numbers.take(Family::V6)), (Some(6), None));
        assert_eq!((numbers.get(Family::V4), numbers.get(Family::V6)), (Some(&4), None));
    }
}
