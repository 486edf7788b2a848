//! The table of verdicts. Its order matters: the first row that fits decides.

use Operation::{ReadOrder, UpdateOrder, UpdatePackages};
use Status::{Any, Class, Is};
use Verdict::{
    AlreadyExists, CheckState, Credentials, Delivered, NotYet, OrderUnknown, Refused, Retry, TargetDown, Throttled, Unknown,
};

use super::{Fact, Seen, Verdict};
use crate::prime::documents::Operation;

/// One rule.
pub(super) struct Row {
    /// The operation it is about; all where empty.
    pub(super) operations: &'static [Operation],
    /// What it is about; all where empty.
    pub(super) seen: &'static [Seen],
    /// The HTTP status it is about.
    pub(super) status: Status,
    /// Error types; all where empty. `""` stands for an error without a type.
    pub(super) types: &'static [&'static str],
    /// The error code; all where empty.
    pub(super) code: &'static str,
    pub(super) verdict: Verdict,
    /// Whether it catches what no row names.
    pub(super) rest: bool,
    pub(super) why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Any,
    Is(u16),
    /// The hundreds.
    Class(u16),
}

impl Row {
    fn fits(&self, fact: &Fact<'_>) -> bool {
        (self.operations.is_empty() || self.operations.contains(&fact.operation))
            && (self.seen.is_empty() || self.seen.contains(&fact.seen))
            && match self.status {
                Any => true,
                Is(status) => fact.status == status,
                Class(hundreds) => fact.status / 100 == hundreds,
            }
            && (self.types.is_empty() || self.types.contains(&fact.error_type))
            && (self.code.is_empty() || self.code == fact.code)
    }

    /// Whether it rests on what BwP said about the request, so that the configuration may
    /// overrule it.
    pub(super) fn speaks_of_errors(&self) -> bool {
        self.seen == ERROR
    }

    /// Whether it names this error type.
    pub(super) fn names(&self, error_type: &str) -> bool {
        !error_type.is_empty() && self.types.contains(&error_type)
    }
}

/// The row that decides.
pub(super) fn row(fact: Fact<'_>) -> &'static Row {
    TABLE.iter().find(|row| row.fits(&fact)).unwrap_or(&LAST)
}

/// What no row names; also the table's last row.
static LAST: Row = rest(before(&[], Any, Unknown, LAST_WHY));
const LAST_WHY: &str = "Whatever else: read before anything is sent.";

/// Whether a row names this code.
pub(super) fn knows(code: &str) -> bool {
    !code.is_empty() && TABLE.iter().any(|row| row.code == code)
}

const ERROR: &[Seen] = &[Seen::Error];
/// Answers that show no change.
const NO_DATA: &[Seen] = &[Seen::NullOrder, Seen::Unreadable, Seen::Error];
const NO_ERRORS: &[Seen] = &[Seen::NullOrder, Seen::Unreadable];
/// Both words that BwP's pages use, and an error that gives only its code.
const CODED: &[&str] = &["ValidationError", "ValidationException", ""];
const PACKAGES: &[Operation] = &[UpdatePackages];
const ORDERS: &[Operation] = &[UpdateOrder];
const READS: &[Operation] = &[ReadOrder];

const fn before(seen: &'static [Seen], status: Status, verdict: Verdict, why: &'static str) -> Row {
    let (operations, types, code, rest) = (&[], &[], "", false);
    Row { operations, seen, status, types, code, verdict, rest, why }
}

const fn http(status: Status, verdict: Verdict, why: &'static str) -> Row {
    before(NO_DATA, status, verdict, why)
}

const fn kind(types: &'static [&'static str], verdict: Verdict, why: &'static str) -> Row {
    Row { types, ..before(ERROR, Any, verdict, why) }
}

const fn code(code: &'static str, verdict: Verdict, why: &'static str) -> Row {
    Row { types: CODED, code, ..before(ERROR, Any, verdict, why) }
}

const fn only(operations: &'static [Operation], row: Row) -> Row {
    Row { operations, ..row }
}

const fn rest(row: Row) -> Row {
    Row { rest: true, ..row }
}

/// All rules.
#[rustfmt::skip] // one rule, one line
pub(super) static TABLE: &[Row] = &[
    // Nothing left this process.
    before(&[Seen::NoConnection], Any, TargetDown, "No byte of the body left."),
    before(&[Seen::TooLate], Any, Retry, "The body was withdrawn before it was written."),
    before(&[Seen::TokenRefused], Is(408), TargetDown, "The token endpoint is slow."),
    before(&[Seen::TokenRefused], Is(429), TargetDown, "Too many token requests; not ours to spend."),
    before(&[Seen::TokenRefused], Class(4), Credentials, "Client id or secret is wrong."),
    before(&[Seen::TokenRefused], Any, TargetDown, "The token endpoint fails."),
    before(&[Seen::TokenRejected], Any, Credentials, "Tokens are issued, and the API takes none."),
    before(&[Seen::NoToken], Any, TargetDown, "The token endpoint fails."),
    // It left and nothing came back.
    before(&[Seen::NoAnswer], Any, Unknown, "It may have been applied, or may be yet."),
    // Errors beside data: nobody documents what that means.
    before(&[Seen::ErrorBesideData], Any, Unknown, "Part of it may have been applied."),
    // The status alone decides.
    http(Is(401), Credentials, "Also a new token was refused; nothing was done."),
    http(Is(403), Credentials, "The credentials lack a permission; nothing was done."),
    http(Is(429), Throttled, "Too many requests; nothing was done."),
    http(Is(408), Unknown, "Who timed out, and when, is not known."),
    http(Class(5), Unknown, "It may have failed after the change was made; `Retry-After` is kept."),
    // Errors whose type decides.
    kind(&["ThrottlingError"], Throttled, "BwP: repeat with exponential backoff."),
    kind(&["InternalServerError"], Unknown, "It may have failed after the change was made."),
    only(PACKAGES, kind(&["AccessDeniedError"], OrderUnknown, "The sandbox says so of a wrong order id too; one such order must not stop the target.")),
    kind(&["AccessDeniedError"], Credentials, "A permission is missing; no order is to blame."),
    kind(&["ResourceNotFoundError"], OrderUnknown, "The order may still be on its way to BwP."),
    only(READS, kind(&["MappingTemplate"], OrderUnknown, "The older gateway's way to miss an order.")),
    kind(&["ConflictException"], NotYet, "The order is being updated at this moment."),
    // Errors whose code decides.
    code("PackageTrackerNotAvailableForUpdate", NotYet, "The tracker appears minutes after the step."),
    only(ORDERS, code("AliasValueAlreadyExists", AlreadyExists, "A create that was made before looks so.")),
    code("InvalidAliasId", CheckState, "The alias is on another refund of the order; perhaps ours."),
    code("InvalidRefundStateTransition", CheckState, "The refund may be in that state already."),
    code("InvalidPackageDeliveryDetailStateTransition", CheckState, "The package may be in that state already."),
    code("AliasLimitExceeded", Refused, "More than two aliases on a return."),
    code("DuplicateAliasId", Refused, "One alias on several refunds of one request."),
    code("DuplicateRefundId", Refused, "One refund twice in one request."),
    code("InvalidRefundId", Refused, "The order has no such refund."),
    code("InvalidRefundRequestReasonUpdate", Refused, "Only external refunds may change it."),
    code("MissingRefundId", Refused, "BwP wants its own refund id here."),
    code("ConflictingPackageStateInput", Refused, "Two kinds of state in one entry."),
    code("MissingCancellationReason", Refused, "A cancelled package needs a reason."),
    code("PackageInformationDetailIdNotFound", Refused, "The order has no such package."),
    code("PackageTrackerNotFound", Refused, "The tracker is unknown or has expired."),
    code("UpdatePackageTrackerLimitExceeded", Refused, "The tracker takes no more updates."),
    code("GRAPHQL_VALIDATION_FAILED", Refused, "The document does not fit BwP's schema."),
    code("GRAPHQL_PARSE_FAILED", Refused, "The document does not fit BwP's schema."),
    code("BAD_USER_INPUT", Refused, "The variables do not fit BwP's schema."),
    rest(kind(&["ValidationError", "ValidationException"], Refused, "A code that is not listed follows its type.")),
    kind(&["InvalidSyntax"], Refused, "The document does not fit BwP's schema."),
    Row { types: &[""], ..before(ERROR, Is(400), Refused, "Refused before it was executed.") },
    rest(kind(&[], Unknown, "A type that is not listed: nobody knows what was done.")),
    // No errors.
    before(&[Seen::Order], Class(2), Delivered, "The order that was asked for, and no errors."),
    only(READS, before(&[Seen::NullOrder], Class(2), OrderUnknown, "BwP has no such order.")),
    before(&[Seen::NullOrder], Class(2), Unknown, "Neither an order nor an error."),
    before(&[Seen::Unreadable], Class(2), Unknown, "HTTP 200 with anything else proves nothing."),
    before(NO_ERRORS, Class(3), TargetDown, "The address is not that of the API."),
    before(NO_ERRORS, Is(400), Refused, "Refused before it was executed."),
    before(NO_ERRORS, Is(404), TargetDown, "The address is not that of the API."),
    before(NO_ERRORS, Is(405), TargetDown, "The address is not that of the API."),
    before(NO_ERRORS, Is(407), TargetDown, "A proxy wants credentials."),
    before(NO_ERRORS, Is(410), TargetDown, "The address is not that of the API any more."),
    before(NO_ERRORS, Is(413), Refused, "The request is too large."),
    before(NO_ERRORS, Is(415), TargetDown, "The address is not that of the API."),
    before(NO_ERRORS, Is(422), Refused, "Refused before it was executed."),
    rest(before(&[], Any, Unknown, LAST_WHY)),
];
