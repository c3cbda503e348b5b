#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let target = sheaf_hostile::target("live").expect("a target of this name");
    sheaf_hostile::check(target, input);
});
