//! Who may use the relay: coturn's users or its shared secrets, never both.

use std::collections::HashMap;

use super::conf::Word;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::{Said, read};
use crate::control::config::schema;
use crate::control::config::{Proof, Realm, Secret, User, UserKey, Value};
use crate::turn::MAX_SECRETS;

/// A password that begins so is the key made of name, realm and password.
const KEY: &str = "0x";
/// `off` has coturn forget what it knew of credentials before.
const OPENED: &str = "though it is off, coturn asks nobody for credentials with this line behind \
                      the others; uturn always does";

pub(super) fn carry(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let realm = said.last(CoturnSetting::Realm, notes).and_then(|word| read::<Realm>(word, notes));
    match realm {
        Some(realm) => draft.word(&schema::REALM, &realm.0),
        None => notes.differs(
            "realm",
            "coturn takes the machine's domain where no realm is given, uturn takes 'uturn'",
        ),
    }
    let secrets = secrets(said, notes);
    draft.list(&schema::SECRET, secrets.iter().map(Secret::reveal));
    if !secrets.is_empty() {
        // Whoever makes the names may make them in any form that coturn takes.
        draft.word(&schema::COTURN_NAMES, "on");
    }
    let people = people(said, notes);
    draft.list(&schema::USER, people.iter().filter_map(Person::with_password));
    draft.keyed_users(people.iter().filter_map(Person::with_key).collect());
    anonymous(said, !people.is_empty(), !secrets.is_empty(), notes);
}

/// Without users and secrets coturn lets everybody in, and a line about credentials may have it do
/// so beside them. We let nobody in who has not read the banner.
fn anonymous(said: &Said<'_>, has_people: bool, has_secrets: bool, notes: &mut Notes) {
    let why = if has_people || has_secrets {
        "there is no anonymous access: whoever is in this file gets in, and nobody else"
    } else {
        "there is no anonymous access: write a user or a secret, without which the file is refused"
    };
    let opening = opening(said, has_people);
    for (about, unneeded) in [
        (CoturnSetting::LongTerm, "credentials are always of this kind"),
        (CoturnSetting::NoAuth, "it is off"),
    ] {
        let Some(word) = said.last(about, notes) else { continue };
        let is_opening = opening.is_some_and(|opening| std::ptr::eq(opening, word));
        let (fate, why) = match (is_opening, word.is_on()) {
            (true, Some(true)) => (Fate::Lost, why),
            (true, _) => (Fate::Differs, OPENED),
            (false, _) => (Fate::NotNeeded, unneeded),
        };
        notes.add(word.line, fate, &word.name, why);
    }
    let is_told = opening.is_some_and(|word| word.is_on() == Some(true));
    if !is_told && !has_people && !has_secrets {
        notes.differs("no user and no secret", why);
    }
}

/// The line that has coturn ask for no credentials. Of those about them the last one holds, but for
/// `no-auth`, which is not to be overruled: coturn does not start then.
fn opening<'a>(said: &Said<'a>, has_people: bool) -> Option<&'a Word> {
    let (mut opening, mut asks) = (None, false);
    for (about, word) in &said.0 {
        let is_asking = match about {
            CoturnSetting::LongTerm => word.is_on() == Some(true),
            about => matches!(about, CoturnSetting::Secret | CoturnSetting::UseSecret),
        };
        if is_asking {
            (opening, asks) = (None, true);
        } else if *about == CoturnSetting::LongTerm {
            (opening, asks) = (Some(*word), false);
        } else if *about == CoturnSetting::NoAuth {
            opening = Some(*word);
        }
    }
    let no_auth = said.all(CoturnSetting::NoAuth).last();
    match no_auth.filter(|word| word.is_on() == Some(true)) {
        Some(no_auth) => Some(no_auth),
        // It takes users for a sign that it is to ask.
        None if has_people && !asks => None,
        None => opening,
    }
}

fn secrets(said: &Said<'_>, notes: &mut Notes) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for word in said.all(CoturnSetting::Secret) {
        let Some(secret) = read::<Secret>(word, notes) else { continue };
        if secret.asks_for_one() {
            let why = "to uturn it asks for a secret of each run: write another one";
            notes.add(word.line, Fate::Lost, &word.name, why);
        } else if secrets.len() == MAX_SECRETS {
            let why = format!("there are {MAX_SECRETS} already, which is the most");
            notes.add(word.line, Fate::Lost, &word.name, why);
        } else {
            secrets.push(secret);
        }
    }
    if let Some(word) = said.last(CoturnSetting::UseSecret, notes) {
        let (fate, why) = if said.has(CoturnSetting::Secret) {
            (Fate::NotNeeded, "a secret is enough")
        } else {
            (Fate::Lost, "the secrets are in coturn's database: write each under `secret`")
        };
        notes.add(word.line, fate, &word.name, why);
    }
    secrets
}

/// A user as coturn has it: `NAME:PASSWORD` or `NAME:0xKEY`, without the blanks that it skips.
struct Person {
    name: String,
    line: String,
    has_key: bool,
}

impl Person {
    fn with_password(&self) -> Option<&str> {
        (!self.has_key).then_some(&self.line)
    }

    fn with_key(&self) -> Option<&str> {
        self.has_key.then_some(&self.line)
    }
}

/// With secrets coturn takes no users, whatever the file says. Of a name that is there twice the
/// later line holds.
fn people(said: &Said<'_>, notes: &mut Notes) -> Vec<Person> {
    let is_by_secret = said.has(CoturnSetting::Secret) || said.has(CoturnSetting::UseSecret);
    let mut people: Vec<(&Word, Person)> = Vec::new();
    for word in said.all(CoturnSetting::User) {
        match person(word, is_by_secret) {
            Ok(person) => people.push((word, person)),
            Err(why) => notes.add(word.line, Fate::Lost, &word.name, why),
        }
    }
    let mut last_of: HashMap<String, usize> = HashMap::new();
    last_of.extend(people.iter().enumerate().map(|(at, (_, person))| (person.name.clone(), at)));
    let people = people.into_iter().enumerate().filter_map(|(at, (word, person))| {
        if last_of[&person.name] == at {
            return Some(person);
        }
        let why = format!("'{}' is there again further down", person.name);
        notes.add(word.line, Fate::NotNeeded, &word.name, why);
        None
    });
    people.collect()
}

fn person(word: &Word, is_by_secret: bool) -> Result<Person, String> {
    let line = match word.value.split_once(':') {
        Some((name, password)) => format!("{name}:{}", password.trim_start_matches([' ', '\t'])),
        None => word.value.clone(),
    };
    let User { name, proof } = User::read(&line)?;
    if is_by_secret {
        return Err(format!(
            "coturn takes no users beside a secret: write '{name}' under `user` if it is wanted"
        ));
    }
    let digits = match &proof {
        Proof::Password(password) => password.reveal().strip_prefix(KEY),
        Proof::Key(_) => None,
    };
    if digits.is_some_and(|digits| UserKey::read(digits).is_none()) {
        return Err(format!("the key of '{name}' is not 0x and 32 hexadecimal digits"));
    }
    let has_key = digits.is_some();
    if has_key && name.trim_start().starts_with('#') {
        return Err(format!("in a file of users '{name}' would be a comment"));
    }
    Ok(Person { name, line, has_key })
}
