//! `reprise schema`: the contract of the GraphQL API, as the code has it. `make schema` keeps it in `schema.graphql`.

use std::process::ExitCode;

use crate::output;

pub fn run() -> ExitCode {
    output::text(api::schema_sdl().trim_end());
    ExitCode::SUCCESS
}
