//! What stands between a server and its clients: other programs, the firewall, the clock,
//! certificates, files that the service may not read.

use super::*;
use crate::control::command::doctor::facts::firewall::Firewall;
use crate::control::command::doctor::facts::service::ServiceUser;
use crate::control::tls::certificate::CertificateFacts;

#[test]
#[cfg(target_endian = "little")]
fn a_program_that_listens_on_tcp_is_found_and_connections_are_not() {
    let tcp = |state: &str| {
        let table = format!(
            "sl local_address rem_address st tx rx tr tm retr uid timeout inode\n\
             1: 00000000:0D96 00000000:0000 {state} 0:0 00:0 0 0 0 77 2 0 0\n"
        );
        Machine::new().write("proc/net/tcp", &table)
    };
    assert_eq!(tcp("0A").found(), [("ports-taken", Severity::Error)]);
    assert!(tcp("0A").findings()[0].what.contains("TCP 198.51.100.1:3478"));
    assert_eq!(tcp("01").found(), [], "a connection of this port");
    assert_eq!(tcp("0A").needing(|need| need.listen_tcp.clear()).found(), [], "tcp = false");
}

/// A tuned machine but for what no file says.
fn found_with(change: impl FnOnce(&mut MachineFacts), machine: &Machine) -> Vec<Finding> {
    let mut facts = MachineFacts::of_files(&Tree::at(&machine.root), KERNEL, &[]);
    change(&mut facts);
    findings(&facts, &machine.need)
}

#[test]
fn a_firewall_that_drops_clients_is_found_and_what_is_told_opens_it() {
    let chain = |rules: &str| {
        let chain = r#"{"chain": {"family": "inet", "table": "filter", "name": "input",
            "hook": "input", "policy": "drop"}}"#;
        Firewall::read(&format!(r#"{{"nftables": [{chain}{rules}]}}"#))
    };
    let accept = |protocol: &str, ports: &str| {
        format!(
            r#",{{"rule": {{"family": "inet", "table": "filter", "chain": "input", "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "{protocol}",
            "field": "dport"}}}}, "right": {{"set": [{ports}]}}}}}}, {{"accept": null}}]}}}}"#
        )
    };
    let machine = Machine::new();
    let found = |rules: &str| found_with(|facts| facts.firewall = chain(rules), &machine);
    let closed = found("");
    assert_eq!(closed.len(), 2, "{closed:#?}");
    assert!(closed[0].what.contains("drops UDP to ports 3478, 49152-65535"), "{closed:#?}");
    let with = "nft insert rule inet filter input udp dport '{ 3478, 49152-65535 }' accept";
    assert_eq!(closed[0].with, with);
    let udp = accept("udp", r#"3478, {"range": [49152, 65535]}"#);
    assert_eq!(found(&udp).len(), 1, "TCP is closed");
    assert_eq!(found(&(udp + &accept("tcp", "3478"))), []);
    let short = accept("udp", r#"3478, {"range": [49152, 60000]}"#) + &accept("tcp", "3478");
    assert!(found(&short)[0].what.contains("ports 49152-65535"));
}

#[test]
fn a_clock_that_nobody_keeps_matters_where_something_depends_on_the_time() {
    let found = |kept: Option<bool>, has_secret: bool| {
        let machine = Machine::new().needing(|need| need.has_secret = has_secret);
        found_with(|facts| facts.clock_is_synchronized = kept, &machine).len()
    };
    assert_eq!(found(Some(false), true), 1);
    assert_eq!([found(Some(false), false), found(Some(true), true), found(None, true)], [0; 3]);
}

#[test]
fn files_that_the_service_cannot_read_are_errors() {
    let (name, path) = ("uturn".to_owned(), PathBuf::from("/etc/uturn/key.pem"));
    let service = ServiceUser { name, unreadable: vec![path] };
    let found = found_with(|facts| facts.service = Some(service), &Machine::new());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].check, found[0].severity), ("service-user", Severity::Error));
    assert_eq!(found[0].with, "chgrp uturn /etc/uturn/key.pem && chmod 0640 /etc/uturn/key.pem");
}

#[test]
fn a_certificate_is_looked_at_before_it_ends_and_rsa_alone_costs_more() {
    let day = |days: i64| 1_000_000_000 + days * 86_400;
    let certificate = |not_after_s: i64, is_rsa: bool| CertificateFacts {
        name: "turn.example.org".to_owned(),
        names: vec!["turn.example.org".to_owned()],
        path: "/etc/uturn/fullchain.pem".into(),
        not_after_s,
        not_after: "2001-09-23".to_owned(),
        is_rsa,
    };
    let found = |certificates: Vec<CertificateFacts>| {
        let machine = Machine::new().needing(|need| {
            need.now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            need.certificates = certificates;
        });
        machine.found()
    };
    assert_eq!(found(vec![certificate(day(15), false)]), []);
    assert_eq!(found(vec![certificate(day(13), false)]), warning("certificate-expiry"));
    let expired = found(vec![certificate(day(-1), false)]);
    assert_eq!(expired, [("certificate-expiry", Severity::Error)]);
    assert_eq!(found(vec![certificate(day(90), true)]), [("certificate-rsa", Severity::Hint)]);
    assert_eq!(found(vec![certificate(day(90), true), certificate(day(90), false)]), []);
    let unfit = Machine::new().needing(|need| {
        need.unfit_certificate = Some("/a: there is no certificate in it".to_owned());
    });
    assert_eq!(unfit.found(), [("certificate", Severity::Error)]);
}
