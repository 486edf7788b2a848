//! Where in an event the reader stands: a list on the stack, written out as an RFC 6901 pointer only when a fault is found.

use std::fmt::Write;

/// The members of Buy with Prime's `PayerInput`. Below `payer` no other name is ever shown: it could be personal data.
const PAYER_MEMBERS: [&str; 13] = [
    "id",
    "billingAddress",
    "contact",
    "name",
    "streetAddress",
    "extendedAddress",
    "locality",
    "region",
    "countryCode",
    "postalCode",
    "contactNumber",
    "emailData",
    "email",
];

/// Whether it is the name of a member of `payer`, and so no personal data.
pub fn is_payer_member(name: &str) -> bool {
    PAYER_MEMBERS.contains(&name)
}

/// The longest member name that is shown.
const LONGEST_NAME: usize = 256;

/// A place in a JSON value.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Name(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The whole value.
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// The member of this object with this name.
    pub(super) fn name<'c>(&'c self, name: &'c str) -> Path<'c> {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    /// The entry of this list at this index.
    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// The RFC 6901 pointer. It ends early, at the enclosing object, where a name must not be shown: one that is none of the
    /// known names below `payer`, has a NUL (which a database's text cannot hold), or is longer than any real name.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in self.shown() {
            match step {
                Step::Root => {}
                Step::Name(name) => {
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
                Step::Index(index) => {
                    let _ = write!(pointer, "/{index}");
                }
            }
        }
        pointer
    }

    /// What a message calls this place: `quantity`, `lines[0]`.
    pub(super) fn label(&self) -> String {
        let shown = self.shown();
        let name_at = shown.iter().rposition(|step| matches!(step, Step::Name(_)));
        let Some(name_at) = name_at else { return String::from("the event") };
        let mut label = String::from("`");
        for step in &shown[name_at..] {
            match step {
                Step::Root => {}
                Step::Name(name) => label.extend(name.escape_debug()),
                Step::Index(index) => {
                    let _ = write!(label, "[{index}]");
                }
            }
        }
        label.push('`');
        label
    }

    /// Whether the pointer reaches this place itself.
    pub(super) fn is_shown(&self) -> bool {
        self.shown().len() == self.steps().len()
    }

    fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = vec![self.step];
        let mut at = self.parent;
        while let Some(path) = at {
            steps.push(path.step);
            at = path.parent;
        }
        steps.reverse();
        steps
    }

    fn shown(&self) -> Vec<Step<'p>> {
        let mut steps = self.steps();
        let mut below_payer = false;
        let mut shown = 0;
        for step in &steps {
            if let Step::Name(name) = step {
                let hidden = below_payer && !PAYER_MEMBERS.contains(name);
                if hidden || name.contains('\0') || name.chars().count() > LONGEST_NAME {
                    break;
                }
                below_payer |= *name == "payer";
            }
            shown += 1;
        }
        steps.truncate(shown);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn pointers_escape_and_stop_where_a_name_must_not_be_shown() {
        let data = Path::ROOT.name("data");
        assert_eq!(data.name("a/b~c").pointer(), "/data/a~1b~0c");
        assert_eq!(data.name("a\0").pointer(), "/data");
        assert_eq!(data.name(&"n".repeat(257)).pointer(), "/data");
        let payments = data.name("payments");
        let first = payments.index(0);
        let payer = first.name("payer");
        assert_eq!(payer.name("contact").pointer(), "/data/payments/0/payer/contact");
        assert_eq!(payer.name("jane@example.com").pointer(), "/data/payments/0/payer");
        assert!(!payer.name("jane@example.com").is_shown());
        assert_eq!(first.label(), "`payments[0]`");
        assert_eq!(payer.name("jane@example.com").label(), "`payer`");
        assert_eq!(Path::ROOT.label(), "the event");
    }
}
