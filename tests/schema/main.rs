//! Every document we send is valid against the pinned schema of BwP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use apollo_compiler::{ExecutableDocument, Schema};
use bwp_sync::prime::documents::{READ_ORDER, UPDATE_ORDER, UPDATE_PACKAGES};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/bwp-2024-11-01.graphql");

#[test]
fn every_document_is_valid_against_the_pinned_schema() {
    let sdl = std::fs::read_to_string(SCHEMA).expect("the pinned schema");
    let schema = Schema::parse_and_validate(sdl, SCHEMA).expect("a valid schema");
    let documents = [UPDATE_ORDER, UPDATE_PACKAGES].into_iter().chain(READ_ORDER);
    for document in documents {
        if let Err(wrong) = ExecutableDocument::parse_and_validate(&schema, document, "document") {
            panic!("{document}\n{}", wrong.errors);
        }
    }
}

#[test]
fn a_member_that_the_schema_lacks_is_found() {
    let sdl = std::fs::read_to_string(SCHEMA).expect("the pinned schema");
    let schema = Schema::parse_and_validate(sdl, SCHEMA).expect("a valid schema");
    let wrong = READ_ORDER[0].replace("orderLinks", "orderLinkz");
    assert!(ExecutableDocument::parse_and_validate(&schema, wrong, "document").is_err());
}
