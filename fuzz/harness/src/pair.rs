//! Not written yet.
/// Nothing yet.
pub fn pair(_octets: &[u8]) {}
