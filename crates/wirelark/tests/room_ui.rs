//! Which names of rooms may be joined, and what the compiler says of the others.

#[test]
fn a_room_that_a_client_could_have_named_is_a_compile_error_that_shows_the_fix() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/room_ui/passes.rs");
    for mistakes in ["text", "borrowed"] {
        cases.compile_fail(format!("tests/room_ui/{mistakes}.rs"));
    }
}
