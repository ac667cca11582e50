//! What cannot become a problem.

use wirelark::contract::Problem;

#[derive(Problem)]
#[problem(code = "WHOLE")]
enum Above {
    Empty,
}

#[derive(Problem)]
enum Attributes {
    #[problem(status = 404)]
    Unknown,
}

#[derive(Problem)]
enum Unquoted {
    #[problem(code = NOT_FOUND)]
    Code,
}

#[derive(Problem)]
enum Empty {
    #[problem(code = "")]
    Code,
}

#[derive(Problem)]
enum Fields {
    Tuple(#[problem(data)] u32, #[problem(data)] u32),
}

#[derive(Problem)]
enum FieldAttributes {
    Named {
        #[problem(shown)]
        id: u32,
    },
}

#[derive(Problem)]
enum Internal {
    #[problem(internal, code = "SECRET")]
    Code,
}

#[derive(Problem)]
enum InternalData {
    #[problem(internal)]
    Data(#[problem(data)] u32),
}

#[derive(Problem)]
union Union {
    number: u32,
}

fn main() {}
