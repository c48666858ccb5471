//! Keys that do nothing beside others, which is told.

use super::{PAIR, from_file};

#[test]
fn keys_about_connections_do_nothing_where_there_are_none() {
    let idle = |file: &str| from_file(file).idle_keys().unwrap_or_default();
    let keys = "proxy-from = '10.0.0.1'\ntcp-relay = true\n";
    let told = idle(&format!("{keys}tcp = false\n"));
    assert!(told.contains("tcp-relay, proxy-from: tcp is off"), "{told}");
    assert_eq!(idle(keys), "");
    assert_eq!(idle(&format!("{keys}tcp = false\n{PAIR}")), "");
    assert_eq!(idle("tcp = false"), "");
}
