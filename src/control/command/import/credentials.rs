//! Who may use the relay: coturn's users or its shared secrets, never both.

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
    if let Some(word) = said.last(CoturnSetting::LongTerm, notes) {
        notes.add(word.line, Fate::NotNeeded, &word.name, "there are no other credentials");
    }
    anonymous(said, people.is_empty() && secrets.is_empty(), notes);
}

/// Without users and secrets coturn lets everybody in, and with no-auth it does so beside them. We
/// let nobody in who has not read the banner.
fn anonymous(said: &Said<'_>, is_nobody: bool, notes: &mut Notes) {
    let why = "there is no anonymous access: write a user or a secret, without which the file is \
               refused";
    match said.last(CoturnSetting::NoAuth, notes) {
        Some(word) => notes.add(word.line, Fate::Lost, &word.name, why),
        None if is_nobody => notes.differs("no user and no secret", why),
        None => {}
    }
}

fn secrets(said: &Said<'_>, notes: &mut Notes) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for word in said.all(CoturnSetting::Secret) {
        let Some(secret) = read::<Secret>(word, notes) else { continue };
        if secrets.len() == MAX_SECRETS {
            let why = format!("there are {MAX_SECRETS} already, which is the most");
            notes.add(word.line, Fate::Lost, &word.name, why);
        } else {
            secrets.push(secret);
        }
    }
    if let Some(word) = said.last(CoturnSetting::UseSecret, notes) {
        let (fate, why) = if said.has(CoturnSetting::Secret) {
            (Fate::NotNeeded, "the secret says it")
        } else {
            (Fate::Lost, "the secrets are in coturn's database: write each under `secret`")
        };
        notes.add(word.line, fate, &word.name, why);
    }
    secrets
}

/// A user as coturn has it: `NAME:PASSWORD` or `NAME:0xKEY`, without the blanks that it skips.
struct Person {
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
    let mut people = Vec::new();
    for word in said.all(CoturnSetting::User) {
        match person(word, is_by_secret) {
            Ok(_) if is_said_again(word, said) => {
                let why = format!("'{}' is there again further down", name(word));
                notes.add(word.line, Fate::NotNeeded, &word.name, why);
            }
            Ok(person) => people.push(person),
            Err(why) => notes.add(word.line, Fate::Lost, &word.name, why),
        }
    }
    people
}

fn name(word: &Word) -> &str {
    word.value.split(':').next().unwrap_or_default()
}

fn is_said_again(word: &Word, said: &Said<'_>) -> bool {
    said.all(CoturnSetting::User).any(|other| other.line > word.line && name(other) == name(word))
}

fn person(word: &Word, is_by_secret: bool) -> Result<Person, String> {
    let line = match word.value.split_once(':') {
        Some((name, password)) => format!("{name}:{}", password.trim_start_matches([' ', '\t'])),
        None => word.value.clone(),
    };
    let user = User::read(&line)?;
    let name = &user.name;
    if is_by_secret {
        return Err(format!(
            "coturn takes no users beside a secret: write '{name}' under `user` if it is wanted"
        ));
    }
    let digits = match &user.proof {
        Proof::Password(password) => password.reveal().strip_prefix(KEY),
        Proof::Key(_) => None,
    };
    if digits.is_some_and(|digits| UserKey::read(digits).is_none()) {
        return Err(format!("the key of '{name}' is not 0x and 32 hexadecimal digits"));
    }
    let has_key = digits.is_some();
    Ok(Person { line, has_key })
}
