//! What `#[contract]` and `#[derive(Problem)]` take, and what they say where they do not: each mistake is reported at
//! the line to change, with the fix, and by nothing but our own words.

#[test]
fn mistakes_are_compile_errors_that_show_the_fix() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/contract_ui/everything.rs");
    for mistakes in
        ["arguments", "attributes", "calls", "clients", "names", "problems", "pushes", "rates", "traits"]
    {
        cases.compile_fail(format!("tests/contract_ui/{mistakes}.rs"));
    }
}
