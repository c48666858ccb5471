//! The firewall: what nftables does with a packet of somebody new, as far as it can be told.
//!
//! `nft -j list ruleset` has the rules of iptables, too, where that is the kind that ends in
//! nftables. A packet is followed through the chains at which packets come in. What this file does
//! not understand (an address, a limit, an extension of iptables) may match or not: where such a
//! rule may accept, the packet passes; where it may drop, it is not said to. So what is said to be
//! dropped is dropped.

use std::collections::HashMap;

use serde_json::Value;

use super::programs::printed;

/// Jumps that are followed; the kernel allows 16.
const MOST_JUMPS: usize = 16;

/// The rules that hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::control) struct Firewall {
    chains: Vec<Chain>,
    /// Elements of named sets, by family, table and name.
    sets: HashMap<[String; 3], Vec<Value>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Chain {
    family: String,
    table: String,
    name: String,
    /// Where in the kernel it is; nothing where others jump to it.
    hook: Option<String>,
    drops_the_rest: bool,
    /// The expressions of each rule.
    rules: Vec<Vec<Value>>,
}

/// The first packet of somebody new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct Newcomer {
    /// `udp` or `tcp`.
    pub(in crate::control) protocol: &'static str,
    pub(in crate::control) is_v4: bool,
    pub(in crate::control) port: u16,
}

/// Whether a rule is for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Perhaps,
}

/// What a chain does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dropped,
    /// The chain that jumped here goes on.
    Returned,
    /// It cannot be told.
    Unknown,
}

impl Firewall {
    /// Reads the rules of this network namespace; `None` where they cannot be read, as by others
    /// than root.
    pub(in crate::control) fn of_this_machine() -> Option<Self> {
        Self::read(&printed("nft", &["-j", "list", "ruleset"])?)
    }

    /// Reads what `nft -j list ruleset` prints.
    pub(in crate::control) fn read(text: &str) -> Option<Self> {
        let parsed: Value = serde_json::from_str(text).ok()?;
        let mut firewall = Self::default();
        for entry in parsed.get("nftables")?.as_array()? {
            if let Some(chain) = entry.get("chain") {
                firewall.chains.push(Chain::read(chain));
            } else if let Some(set) = entry.get("set") {
                let elements = set.get("elem").and_then(Value::as_array).cloned();
                let place = ["family", "table", "name"].map(|part| text_of(set, part));
                firewall.sets.insert(place, elements.unwrap_or_default());
            } else if let Some(rule) = entry.get("rule") {
                let [family, table, name] =
                    ["family", "table", "chain"].map(|it| text_of(rule, it));
                let expressions = rule.get("expr").and_then(Value::as_array).cloned();
                if let Some(at) = firewall.position(&family, &table, &name) {
                    firewall.chains[at].rules.push(expressions.unwrap_or_default());
                }
            }
        }
        Some(firewall)
    }

    /// Names the chain that drops a packet, as `nft` takes it: family, table and chain.
    pub(in crate::control) fn dropping(&self, packet: Newcomer) -> Option<String> {
        let sees = |chain: &&Chain| {
            let family = match chain.family.as_str() {
                "inet" => true,
                "ip" => packet.is_v4,
                "ip6" => !packet.is_v4,
                _ => false,
            };
            family && matches!(chain.hook.as_deref(), Some("prerouting" | "input"))
        };
        let drops = |chain: &&Chain| match self.fate(chain, packet, 0) {
            Fate::Dropped => true,
            Fate::Returned => chain.drops_the_rest,
            Fate::Accepted | Fate::Unknown => false,
        };
        let chain = self.chains.iter().filter(sees).find(drops)?;
        Some(format!("{} {} {}", chain.family, chain.table, chain.name))
    }

    fn position(&self, family: &str, table: &str, name: &str) -> Option<usize> {
        let is = |it: &Chain| it.family == family && it.table == table && it.name == name;
        self.chains.iter().position(is)
    }

    fn fate(&self, chain: &Chain, packet: Newcomer, jumps: usize) -> Fate {
        for rule in &chain.rules {
            match self.fate_by(chain, rule, packet, jumps) {
                (Match::No, _) | (Match::Perhaps, Some(Fate::Dropped | Fate::Returned) | None) => {}
                (Match::Perhaps, Some(Fate::Accepted | Fate::Unknown)) => return Fate::Unknown,
                (Match::Yes, Some(fate)) => return fate,
                (Match::Yes, None) => {}
            }
        }
        Fate::Returned
    }

    /// Whether a rule is for the packet, and what it then does; nothing where the next rule is
    /// asked.
    fn fate_by(
        &self,
        chain: &Chain,
        rule: &[Value],
        packet: Newcomer,
        jumps: usize,
    ) -> (Match, Option<Fate>) {
        let (mut matched, mut fate) = (Match::Yes, None);
        for expression in rule {
            let Some((kind, what)) = expression.as_object().and_then(|it| it.iter().next()) else {
                continue;
            };
            match kind.as_str() {
                "match" => match self.matches(chain, what, packet) {
                    Match::Yes => {}
                    Match::No => return (Match::No, None),
                    Match::Perhaps => matched = Match::Perhaps,
                },
                "accept" => fate = Some(Fate::Accepted),
                "drop" | "reject" => fate = Some(Fate::Dropped),
                "return" => fate = Some(Fate::Returned),
                "jump" | "goto" => {
                    let inner = self.fate_of(chain, &text_of(what, "target"), packet, jumps);
                    let goes_on = kind == "jump" && inner == Fate::Returned;
                    fate = (!goes_on).then_some(inner);
                }
                "counter" | "log" | "notrack" | "mangle" | "comment" => {}
                "vmap" => fate = by_state(what),
                _ => matched = Match::Perhaps,
            }
        }
        (matched, fate)
    }

    fn fate_of(&self, from: &Chain, name: &str, packet: Newcomer, jumps: usize) -> Fate {
        match self.position(&from.family, &from.table, name) {
            Some(at) if jumps < MOST_JUMPS => self.fate(&self.chains[at], packet, jumps + 1),
            Some(_) | None => Fate::Unknown,
        }
    }

    fn matches(&self, chain: &Chain, what: &Value, packet: Newcomer) -> Match {
        let (Some(left), Some(right)) = (what.get("left"), what.get("right")) else {
            return Match::Perhaps;
        };
        let is_negated = match what.get("op").and_then(Value::as_str) {
            Some("==" | "in") => false,
            Some("!=") => true,
            _ => return Match::Perhaps,
        };
        let found = match asked(left) {
            Asked::Port(protocol) if protocol != "th" && protocol != packet.protocol => {
                return Match::No;
            }
            Asked::Port(_) => self.holds(chain, right, &Value::from(packet.port)),
            Asked::Protocol => self.holds(chain, right, &Value::from(packet.protocol)),
            Asked::Family => {
                self.holds(chain, right, &Value::from(if packet.is_v4 { "ipv4" } else { "ipv6" }))
            }
            // Nobody comes in from here, and by which card is not known.
            Asked::Interface if right.as_str() == Some("lo") => Match::No,
            // Rules may have it that packets are not followed.
            Asked::State => match self.holds(chain, right, &Value::from("untracked")) {
                Match::No => self.holds(chain, right, &Value::from("new")),
                Match::Yes | Match::Perhaps => Match::Perhaps,
            },
            Asked::Interface | Asked::Other => Match::Perhaps,
        };
        match (found, is_negated) {
            (Match::Perhaps, _) => Match::Perhaps,
            (Match::Yes, false) | (Match::No, true) => Match::Yes,
            (Match::No, false) | (Match::Yes, true) => Match::No,
        }
    }

    /// Whether a value is one, or among, those of the right side.
    fn holds(&self, chain: &Chain, right: &Value, value: &Value) -> Match {
        let any = |values: &[Value]| {
            let mut found = Match::No;
            for one in values {
                match self.holds(chain, one, value) {
                    Match::Yes => return Match::Yes,
                    Match::Perhaps => found = Match::Perhaps,
                    Match::No => {}
                }
            }
            found
        };
        let yes = |is: bool| if is { Match::Yes } else { Match::No };
        match right {
            Value::Array(values) => any(values),
            Value::String(name) if name.starts_with('@') => {
                let place = [&*chain.family, &*chain.table, &name[1..]].map(str::to_owned);
                self.sets.get(&place).map_or(Match::Perhaps, |elements| any(elements))
            }
            Value::String(_) | Value::Number(_) => yes(right == value),
            Value::Object(object) => {
                if let Some(Value::Array(values)) = object.get("set") {
                    any(values)
                } else if let Some(element) = object.get("elem").and_then(|it| it.get("val")) {
                    self.holds(chain, element, value)
                } else if let (Some(range), Some(port)) = (object.get("range"), value.as_u64()) {
                    let end = |at: usize| range.get(at).and_then(Value::as_u64);
                    let is_within =
                        end(0).zip(end(1)).map(|(low, high)| (low..=high).contains(&port));
                    is_within.map_or(Match::Perhaps, yes)
                } else {
                    Match::Perhaps
                }
            }
            Value::Null | Value::Bool(_) => Match::Perhaps,
        }
    }
}

impl Chain {
    fn read(chain: &Value) -> Self {
        Self {
            family: text_of(chain, "family"),
            table: text_of(chain, "table"),
            name: text_of(chain, "name"),
            hook: chain.get("hook").and_then(Value::as_str).map(str::to_owned),
            drops_the_rest: text_of(chain, "policy") == "drop",
            rules: Vec::new(),
        }
    }
}

/// What the left side of a match looks at.
enum Asked<'a> {
    /// The port that the packet is for, of this protocol, or `th` for any.
    Port(&'a str),
    Protocol,
    Family,
    Interface,
    State,
    Other,
}

fn asked(left: &Value) -> Asked<'_> {
    let inner = |kind: &str, part: &str| left.get(kind)?.get(part)?.as_str();
    match (inner("payload", "protocol"), inner("payload", "field")) {
        (Some(protocol @ ("udp" | "tcp" | "th")), Some("dport")) => return Asked::Port(protocol),
        (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => return Asked::Protocol,
        _ => {}
    }
    match (inner("meta", "key"), inner("ct", "key")) {
        (Some("l4proto"), _) => Asked::Protocol,
        (Some("nfproto"), _) => Asked::Family,
        (Some("iif" | "iifname"), _) => Asked::Interface,
        (_, Some("state")) => Asked::State,
        _ => Asked::Other,
    }
}

/// What a map of verdicts has for a packet of somebody new.
fn by_state(map: &Value) -> Option<Fate> {
    let is_state = map.get("key").is_some_and(|key| matches!(asked(key), Asked::State));
    let pairs = map.get("data").and_then(|data| data.get("set")).and_then(Value::as_array);
    let Some(pairs) = pairs.filter(|_| is_state) else { return Some(Fate::Unknown) };
    let is_new = |pair: &&Value| pair.get(0).and_then(Value::as_str) == Some("new");
    let verdict = pairs.iter().find(is_new)?.get(1)?;
    Some(if verdict.get("accept").is_some() {
        Fate::Accepted
    } else if verdict.get("drop").is_some() {
        Fate::Dropped
    } else {
        Fate::Unknown
    })
}

fn text_of(value: &Value, part: &str) -> String {
    value.get(part).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 prints of:
    ///
    /// ```text
    /// table inet filter {
    ///   set open { type inet_service; flags interval; elements = { 22, 5000-6000 } }
    ///   chain input {
    ///     type filter hook input priority 0; policy drop;
    ///     ct state vmap { established : accept, related : accept, invalid : drop }
    ///     ct state established,related accept
    ///     iifname "lo" accept
    ///     tcp dport @open accept
    ///     udp dport { 3478, 49152-60000 } accept
    ///     meta l4proto { tcp, udp } th dport 5349 jump other
    ///     ip saddr 10.0.0.0/8 tcp dport 443 accept
    ///     counter reject
    ///   }
    ///   chain other { limit rate 5/second drop; tcp dport 5349 accept }
    /// }
    /// ```
    const RULES: &str = r#"{"nftables": [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        {"set": {"family": "inet", "name": "open", "table": "filter", "type": "inet_service",
            "handle": 3, "flags": ["interval"], "elem": [22, {"range": [5000, 6000]}]}},
        {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1,
            "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
        {"chain": {"family": "inet", "table": "filter", "name": "other", "handle": 2}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": null}],
                ["established", {"accept": null}], ["related", {"accept": null}]]}}}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "in", "left": {"ct": {"key": "state"}},
                "right": ["established", "related"]}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}},
            {"accept": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                "right": "@open"}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
                "right": {"set": [3478, {"range": [49152, 60000]}]}}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}},
                "right": {"set": ["tcp", "udp"]}}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "th", "field": "dport"}},
                "right": 5349}}, {"jump": {"target": "other"}}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                "right": 443}}, {"accept": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [
            {"counter": {"packets": 0, "bytes": 0}},
            {"reject": {"type": "icmpx", "expr": "port-unreachable"}}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "other", "expr": [
            {"limit": {"rate": 5, "burst": 5, "per": "second"}}, {"drop": null}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "other", "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                "right": 5349}}, {"accept": null}]}}
    ]}"#;

    fn dropped(firewall: &Firewall, protocol: &'static str, port: u16) -> bool {
        let dropping = firewall.dropping(Newcomer { protocol, is_v4: true, port });
        dropping.is_some_and(|chain| chain == "inet filter input")
    }

    #[test]
    fn what_is_surely_dropped_is_found_and_what_may_pass_is_not() {
        let firewall = Firewall::read(RULES).unwrap();
        for (protocol, port, is_dropped) in [
            ("udp", 3478, false),
            ("tcp", 3478, true),
            ("udp", 49_152, false),
            ("udp", 60_001, true),
            ("tcp", 22, false),
            ("tcp", 5500, false),
            ("udp", 5500, true),
            ("tcp", 5349, false),
            ("udp", 5349, true),
            // From 10.0.0.0/8 it is accepted.
            ("tcp", 443, false),
        ] {
            assert_eq!(dropped(&firewall, protocol, port), is_dropped, "{protocol} {port}");
        }
    }

    #[test]
    fn without_rules_nothing_is_dropped_and_nonsense_is_no_firewall() {
        let none = Firewall::read(r#"{"nftables": [{"metainfo": {}}]}"#).unwrap();
        assert!(!dropped(&none, "udp", 3478));
        assert_eq!(Firewall::read("Error: no"), None);
    }

    #[test]
    fn chains_of_the_other_family_and_other_hooks_see_nothing() {
        let other = RULES.replace(r#""family": "inet""#, r#""family": "ip6""#);
        let packet = Newcomer { protocol: "tcp", is_v4: true, port: 3478 };
        let firewall = Firewall::read(&other).unwrap();
        assert_eq!(firewall.dropping(packet), None);
        assert!(firewall.dropping(Newcomer { is_v4: false, ..packet }).is_some());
        let forwarding = RULES.replace(r#""hook": "input""#, r#""hook": "forward""#);
        assert_eq!(Firewall::read(&forwarding).unwrap().dropping(packet), None);
    }

    // tuning/uturn.nft has the relay's packets not followed.
    #[test]
    fn rules_about_untracked_packets_may_be_for_the_relay() {
        let untracked = RULES.replace(r#"["established", "related"]}"#, r#"["untracked"]}"#);
        assert!(!dropped(&Firewall::read(&untracked).unwrap(), "tcp", 3478));
    }

    #[test]
    fn chains_that_jump_in_circles_end() {
        let jump = r#"{"jump": {"target": "input"}}"#;
        let circle = RULES.replace(r#"{"limit": {"rate": 5, "burst": 5, "per": "second"}}"#, jump);
        let firewall = Firewall::read(&circle).unwrap();
        assert!(!dropped(&firewall, "tcp", 5349), "it cannot be told");
    }
}
