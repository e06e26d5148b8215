//! Many threads that send through one transport of `postwire-blocking`.

use postwire_interleavings::schedules::run_schedules;
use postwire_interleavings::threads::Threads;
use postwire_interleavings::world::run;

#[test]
fn no_thread_waits_for_ever_and_all_reports_match_what_the_servers_took() {
    run_schedules(5_000, || run::<Threads>(&[0]));
}

#[test]
fn a_panic_of_the_program_ends_the_send_that_it_is_in_and_no_other() {
    run_schedules(5_000, || run::<Threads>(&[2, 4]));
}
