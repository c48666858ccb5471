//! Where TLS clients are heard where nobody says.

use super::from_flags;

const PAIR: [&str; 2] = ["--tls-certificate=/a", "--tls-key=/b"];

fn tls(words: &[&str]) -> Vec<String> {
    let config = from_flags(&[&PAIR, words].concat());
    config.listen_tls.iter().map(ToString::to_string).collect()
}

#[test]
fn tls_clients_are_heard_beside_all_others_at_the_port_that_is_meant_for_it() {
    assert_eq!(tls(&["--listen=10.0.0.5:3478"]), ["10.0.0.5:5349"]);
    assert_eq!(tls(&["--listen=10.0.0.5:3478", "--listen-tls=10.0.0.5:443"]), ["10.0.0.5:443"]);
}

#[test]
fn a_listener_at_the_port_of_tls_takes_it_and_is_no_second_one() {
    let both = ["--listen=0.0.0.0:3478", "--listen=10.0.0.5:5349"];
    assert_eq!(tls(&both), ["10.0.0.6:5349", "127.0.0.1:5349"]);
    assert_eq!(tls(&both[1..]), Vec::<String>::new());
    assert_eq!(tls(&["--listen=10.0.0.5:5349", "--tcp=off"]), ["10.0.0.5:5349"], "UDP alone");
}
