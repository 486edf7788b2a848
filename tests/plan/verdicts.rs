//! The table of verdicts against what must never happen, for any answer at all (contract, guarantee 3).

use bwp_sync::dispatch::verdict::{Overrides, Verdict, judge};
use bwp_sync::prime::answer::{Body, GraphError};
use bwp_sync::prime::documents::Operation;
use bwp_sync::prime::exchange::{Exchange, NoAnswer, NotSent, RetryAfter};
use bwp_sync::prime::token::{TokenError, TokenFailure};
use bwp_sync::prime::view::OrderView;
use proptest::prelude::*;

/// Types and codes that the table may know, and words that nobody does.
const TYPES: [&str; 14] = [
    "",
    "ThrottlingError",
    "InternalServerError",
    "AccessDeniedError",
    "ResourceNotFoundError",
    "MappingTemplate",
    "ConflictException",
    "ConflictError",
    "ValidationError",
    "ValidationException",
    "InvalidSyntax",
    "NewError",
    "throttlingerror",
    " ",
];
const CODES: [&str; 12] = [
    "",
    "AliasValueAlreadyExists",
    "InvalidAliasId",
    "InvalidRefundStateTransition",
    "DuplicateRefundId",
    "AliasLimitExceeded",
    "PackageTrackerNotAvailableForUpdate",
    "MissingRefundId",
    "BAD_USER_INPUT",
    "E-17",
    "NewCode",
    "invalidaliasid",
];

fn operations() -> impl Strategy<Value = Operation> {
    prop::sample::select(Operation::ALL.to_vec())
}

fn errors() -> impl Strategy<Value = GraphError> {
    let word =
        |known: &'static [&'static str]| prop_oneof![4 => prop::sample::select(known).prop_map(str::to_owned), 1 => ".{0,12}"];
    let other = prop::option::of(word(&CODES));
    (prop::option::of(word(&TYPES)), prop::option::of(word(&CODES)), other, ".{0,20}")
        .prop_map(|(error_type, code, other_code, message)| GraphError { error_type, code, other_code, message })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Order(Box::<OrderView>::default())),
        Just(Body::NullOrder),
        ".{0,20}".prop_map(|why| Body::Unreadable { why }),
        (prop::collection::vec(errors(), 1..4), any::<bool>())
            .prop_map(|(errors, data_present)| Body::Errors { errors, data_present }),
        // What the reader never makes, and nobody must rest on.
        any::<bool>().prop_map(|data_present| Body::Errors { errors: Vec::new(), data_present }),
    ]
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let failure = prop_oneof![
        any::<u16>().prop_map(|status| TokenFailure::Refused { status }),
        Just(TokenFailure::Rejected),
        Just(TokenFailure::Unreachable),
        Just(TokenFailure::Unreadable),
    ];
    let token = (failure, any::<bool>()).prop_map(|(cause, waits)| {
        let until = chrono::DateTime::UNIX_EPOCH;
        NotSent::Token(if waits { TokenError::BackingOff { until, cause } } else { TokenError::Failed(cause) })
    });
    let not_sent = prop_oneof![Just(NotSent::Connect), Just(NotSent::DeadlineBeforeSend), token];
    let status = prop_oneof![4 => 100_u16..600, 2 => Just(200), 1 => any::<u16>()];
    prop_oneof![
        1 => not_sent.prop_map(|why| Exchange::NotSent { why }),
        1 => prop::sample::select(vec![NoAnswer::Timeout, NoAnswer::Reset, NoAnswer::BrokenOff]).prop_map(|why| Exchange::NoAnswer { why }),
        6 => (status, bodies(), prop::option::of(any::<u64>())).prop_map(|(status, body, seconds)| {
            Exchange::Answered { status, retry_after: seconds.map(RetryAfter::Seconds), body, request_id: None }
        }),
    ]
}

/// What the configuration might say, sensible or not.
fn overrides() -> impl Strategy<Value = Overrides> {
    let name = prop::sample::select([TYPES.as_slice(), &CODES].concat()).prop_map(str::to_owned);
    prop::collection::btree_map(name, prop::sample::select(Verdict::ALL.to_vec()), 0..8).prop_map(Overrides::from_iter)
}

/// Nobody knows what was done: the order is read, or, where it was a read, it is made again.
fn is_unknown(operation: Operation, verdict: Verdict) -> bool {
    verdict == if operation.writes() { Verdict::Unknown } else { Verdict::Retry }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_is_taken_for_more_than_it_says(operation in operations(), exchange in exchanges(), overrides in overrides()) {
        let plain = judge(operation, &exchange, &Overrides::new());
        for judgement in [&plain, &judge(operation, &exchange, &overrides)] {
            let verdict = judgement.verdict;
            match &exchange {
                Exchange::NotSent { .. } => {
                    prop_assert!(matches!(verdict, Verdict::Credentials | Verdict::TargetDown | Verdict::Retry), "{verdict:?}");
                    let too_late = Exchange::NotSent { why: NotSent::DeadlineBeforeSend };
                    prop_assert!(verdict != Verdict::Retry || exchange == too_late);
                }
                Exchange::NoAnswer { .. } => prop_assert!(is_unknown(operation, verdict), "{verdict:?}"),
                Exchange::Answered { status, body, retry_after, .. } => {
                    prop_assert_eq!(&judgement.retry_after, retry_after, "never lost, whatever was answered");
                    let is_order = matches!(body, Body::Order(_)) && (200..300).contains(status);
                    prop_assert_eq!(verdict == Verdict::Delivered, is_order, "{:?}", verdict);
                    let beside_data = matches!(body, Body::Errors { data_present: true, .. });
                    if beside_data || (500..600).contains(status) || (matches!(body, Body::Order(_)) && !is_order) {
                        prop_assert!(is_unknown(operation, verdict), "{verdict:?}");
                    }
                }
            }
            prop_assert!(!judgement.code.is_empty(), "everything has a name");
            prop_assert!(operation.writes() || verdict != Verdict::Unknown, "a read changes nothing");
        }
    }

    /// A type that no row names is unknown, whatever its code; a code that no row names follows its type; both are told.
    #[test]
    fn what_nobody_listed_takes_the_safe_row(operation in operations(), word in "[A-Z][a-z]{3,9}[0-9]{3}", code in prop::sample::select(CODES.to_vec()), status in 200_u16..300) {
        let judged = |error_type: &str, code: &str| {
            let one = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
            let error = GraphError { error_type: one(error_type), code: one(code), ..GraphError::default() };
            let body = Body::Errors { errors: vec![error], data_present: false };
            judge(operation, &Exchange::Answered { status, retry_after: None, body, request_id: None }, &Overrides::new())
        };
        let new_type = judged(&word, code);
        prop_assert!(is_unknown(operation, new_type.verdict) && !new_type.listed, "{new_type:?}");
        let new_code = judged("ValidationError", &word);
        prop_assert!(new_code.verdict == Verdict::Refused && !new_code.listed, "{new_code:?}");
        prop_assert_eq!(&new_code.code, &word);
        let nothing_but_a_code = judged("", &word);
        prop_assert!(is_unknown(operation, nothing_but_a_code.verdict) && !nothing_but_a_code.listed, "{nothing_but_a_code:?}");
    }

    /// Of several errors the most cautious decides, in whatever order they come.
    #[test]
    fn several_errors_are_as_bad_as_the_worst_of_them(operation in operations(), errors in prop::collection::vec(errors(), 1..5), status in 200_u16..500, turn in 0_usize..5) {
        let judged = |errors: Vec<GraphError>| {
            let body = Body::Errors { errors, data_present: false };
            judge(operation, &Exchange::Answered { status, retry_after: None, body, request_id: None }, &Overrides::new()).verdict
        };
        let worst = errors.iter().map(|error| judged(vec![error.clone()])).min();
        let mut turned = errors.clone();
        turned.rotate_left(turn % errors.len());
        prop_assert_eq!(Some(judged(errors)), worst);
        prop_assert_eq!(Some(judged(turned)), worst);
    }
}
