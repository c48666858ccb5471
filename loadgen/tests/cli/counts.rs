//! What is counted is what happened.

use super::{
    loadgen, measure,
    relay::{Relay, Script},
    scratch,
};

#[test]
fn injected_faults_are_found_exactly() {
    let relay = Relay::start(Script { faults: true, ..Script::default() });
    let line = "run custom --rate 800 --size 200 -n 4 -t 1 --warmup 0 --direction both";
    let (output, result) = measure(&relay, line);
    assert_eq!(output.status.code(), Some(1), "a fifth is lost");
    let done = relay.done();
    for way in 0..2 {
        let count = |field: &str| result["ways"][way][field].as_u64().unwrap();
        // A machine that stops for a moment sends less, and then what the relay holds back to swap
        // it stays there.
        let unsent = 800 - count("sent");
        assert!(unsent < 400, "{result:#}");
        let gone = done.dropped[way] + done.broken[way];
        assert!((gone..=gone + unsent).contains(&count("lost")), "{result:#}");
        assert_eq!(count("duplicates"), done.doubled[way], "{result:#}");
        assert_eq!(count("reordered"), done.swapped[way], "{result:#}");
        assert_eq!(count("corrupt"), done.broken[way], "{result:#}");
        assert_eq!(count("relayed"), count("sent") - count("lost"), "{result:#}");
        assert_eq!((count("misrouted"), count("refused"), count("ancient")), (0, 0, 0));
        assert!(unsent > 0 || (done.dropped[way], done.swapped[way]) == (80, 80), "{done:?}");
    }
    assert_eq!(done.closed, 4);
}

#[test]
fn a_faultless_relay_is_found_faultless() {
    for line in [
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --indications",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --c2c",
        "run video -n 2 --burst 4 -t 0.5 --warmup 0.1 --direction up --trains",
        "run mixed -n 4 -t 0.5 --warmup 0.1 --direction down --no-gro",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --threads 2",
        "run binding -n 4 --rate 500 -t 0.5 --warmup 0.1",
    ] {
        let relay = Relay::start(Script::default());
        let (output, result) = measure(&relay, &format!("{line} --max-loss 0"));
        assert_eq!(output.status.code(), Some(0), "{line}: {result:#}");
        for way in result["ways"].as_array().unwrap() {
            assert!(way["relayed"].as_u64().unwrap() >= 10, "{line}: {way:#}");
            for field in ["lost", "reordered", "duplicates", "corrupt", "misrouted"] {
                assert_eq!(way[field], 0, "{line}: {way:#}");
            }
        }
    }
}

#[test]
fn sessions_are_refreshed_while_the_load_runs() {
    let relay = Relay::start(Script::default());
    let line = "run voice -n 3 -t 1.2 --warmup 0 --refresh-every 0.4 --max-loss 0";
    let (output, _) = measure(&relay, line);
    assert_eq!(output.status.code(), Some(0));
    let refreshes = relay.done().refreshes;
    assert!((6..=9).contains(&refreshes), "{refreshes}");
}

#[test]
fn cycles_are_opened_and_closed() {
    let relay = Relay::start(Script::default());
    let (_, result) = measure(&relay, "run churn --rate 100 -t 0.5 --warmup 0");
    let way = &result["ways"][0];
    let [sent, relayed] = ["sent", "relayed"].map(|name| way[name].as_u64().unwrap());
    // A machine that stops for a moment begins fewer.
    assert!((25..=50).contains(&sent) && sent == relayed, "{way:#}");
    // One more to see that all is well.
    assert_eq!((relay.done().closed, relay.done().refreshes), (sent + 1, sent + 1));
}

#[test]
fn a_port_the_server_still_remembers_is_given_up() {
    let relay = Relay::start(Script { old_ports: 3, ..Script::default() });
    let (output, _) = measure(&relay, "run voice -n 4 -t 0.3 --warmup 0 --max-loss 0");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_relay_the_generator_is_measured() {
    let (json, page) = (scratch("direct.json"), scratch("direct.html"));
    let line = "run bulk --direct --rate 5000 --trains -n 4 -t 0.5 --warmup 0.1 --max-loss 0 -q";
    let output = loadgen(&format!("{line} --json {} --report {}", json.display(), page.display()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.matches("<svg").count() == 3);
    assert!(
        !page.contains("http:")
            || page.matches("http").count() == page.matches("www.w3.org").count()
    );
}
