//! What operators write.

use super::engine::fuzz;

/// A line of the control protocol is a request or an error, and a request means the same however
/// it was written.
#[test]
fn any_line_to_the_control_socket_is_a_request_or_none() {
    fuzz("control", |line| {
        let Ok(line) = str::from_utf8(line) else { return };
        let Some(request) = uturn::control::control_request(line) else { return };
        assert_eq!(uturn::control::control_request(&request).as_ref(), Some(&request), "{line}");
        assert!(!request.contains('\n'), "two lines: {request}");
    });
}

/// Whatever is in coturn's file, ours can be read, and what is not carried is named.
#[test]
fn any_file_of_coturns_becomes_one_of_ours() {
    fuzz("import", |file| {
        let (toml, notes) = uturn::control::import_coturn(file);
        let table = toml.parse::<toml::Table>();
        assert!(table.is_ok(), "{table:?} of\n{toml}");
        let is_control = |letter: char| letter.is_control() && letter != '\n';
        assert!(!notes.contains(is_control), "{notes:?}");
    });
}
