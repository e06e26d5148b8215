#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| postwire_fuzz_harness::dispatch(input));
