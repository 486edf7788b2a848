//! What the documents promise: each test that they name is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]).collect()
}

/// The words between backticks that are a file of ours, with the test that is named in it.
fn named(page: &str) -> BTreeSet<(String, Option<String>)> {
    let words = page.split('`').skip(1).step_by(2);
    let of_ours = words.filter(|word| {
        ["src/", "tests/", "simulator/"].iter().any(|folder| word.starts_with(folder))
            && word.contains(".rs")
            && !word.contains('*')
    });
    let parts = of_ours.map(|word| match word.split_once("::") {
        Some((file, test)) => (file.to_owned(), Some(test.to_owned())),
        None => (word.to_owned(), None),
    });
    parts.collect()
}

#[test]
fn tests_that_the_documents_name_are_there() {
    let mut seen = 0;
    for page in documents() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (file, test) in named(&text) {
            let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
            let source = source.unwrap_or_else(|error| panic!("{} names {file}: {error}", page.display()));
            if let Some(test) = test {
                assert!(source.contains(&format!("fn {test}(")), "{} names {test} in {file}", page.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "only {seen} tests are named");
}
