//! Whole worlds, whose choices are the input: a client, servers that were written from the RFCs
//! alone, and the wire between them.
//!
//! ```text
//! input = two octets for each choice; once they are used up, the choices are those of a seed
//! ```

use postwire_worlds::choices::Choices;
use postwire_worlds::oracle::Outcomes;

/// One session without TLS.
pub fn session(octets: &[u8]) {
    judge(postwire_worlds::session::World::new(&mut Choices::from_octets(octets)).run());
}

/// One session with TLS.
pub fn secured(octets: &[u8]) {
    judge(postwire_worlds::secured::World::new(&mut Choices::from_octets(octets)).run());
}

/// Many sends over several connections.
pub fn dispatch(octets: &[u8]) {
    judge(postwire_worlds::dispatch::World::new(&mut Choices::from_octets(octets)).run());
}

fn judge(result: Result<Outcomes, String>) {
    if let Err(why) = result {
        panic!("{why}");
    }
}
