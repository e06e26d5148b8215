//! Not written yet.
/// Nothing yet.
pub fn server_session(_octets: &[u8]) {}
