//! What operators write.

use super::engine::fuzz;

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
