//! `POST /graphql`: headers, body, the fault script, the judge's eyes, and the answer. What a mutation does is in `state`,
//! what GraphQL means in `execute`.

use crate::answer::{ApiError, Response, json_answer, json_text, refusal, refused_data, retry_after};
use crate::execute::{Arguments, Asked, Call, CallResult, Prepared};
use crate::faults::{Answer, Apply, Rule};
use crate::judge::{Flight, Reading, Verdict, Wrong, checks};
use crate::options::Environment;
use crate::server::{Reset, plain_answer};
use crate::state::input::{OrderIdentifier, UpdateOrder, UpdatePackages};
use crate::state::{Alias, Applied, Cell};
use crate::{App, Logged};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use serde_json_bytes::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A header that says which of several clients asks; none of Amazon's.
const CLIENT: &str = "x-client";
const API_VERSION: &str = "2024-11-01";
/// Types that the troubleshooting pages list and that say clearly that nothing happened.
const CLEAR_REFUSALS: [&str; 7] = [
    "AccessDeniedError",
    "ThrottlingError",
    "ConflictError",
    "ConflictException",
    "ResourceNotFoundError",
    "ValidationError",
    "ValidationException",
];

/// One call, ready to be carried out.
struct Task {
    key: String,
    field: String,
    named: Option<OrderIdentifier>,
    cell: Result<Arc<Cell>, ApiError>,
    what: What,
}

enum What {
    Read,
    Update(Box<UpdateOrder>),
    Packages(UpdatePackages),
    Bad(ApiError),
}

/// The judge's view of a request.
enum Watched {
    /// And its place among the arrivals, where these are kept.
    Mutation(Flight, Option<usize>),
    Query(Reading),
}

pub(crate) async fn serve(app: &Arc<App>, headers: &HeaderMap, body: Bytes) -> Result<Response, Reset> {
    if let Err(response) = check_headers(app, headers) {
        return Ok(*response);
    }
    let asked = match serde_json::from_slice::<Asked<'_>>(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let message = format!("the body is not a GraphQL request: {error}");
            return Ok(refusal(StatusCode::BAD_REQUEST, &message));
        }
    };
    if app.options.environment == Environment::Production && asked.query.contains("updateOrderPackageInformation") {
        app.judge.found(Wrong::PackageMutationInProduction, "?", "the document names updateOrderPackageInformation");
    }
    match app.engine.prepare(&asked, &body) {
        Err(errors) => {
            app.judge.counted("invalid");
            app.log(Logged::new("invalid", "", body));
            Ok(json_answer(StatusCode::OK, &json!({ "errors": errors })))
        }
        Ok(prepared) => carry_out(app, prepared, body, client_of(headers)).await,
    }
}

fn check_headers(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let refuse = |status, message: &str| Err(Box::new(refusal(status, message)));
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    if !app.tokens.accepts(headers) {
        return refuse(StatusCode::UNAUTHORIZED, "the token is unknown or has expired");
    }
    let target = text("x-api-target-id").or_else(|| text("x-omni-targetid"));
    if target != Some(app.options.target_id.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "these credentials do not open this target");
    }
    if text("x-api-version") != Some(API_VERSION) {
        return refuse(StatusCode::BAD_REQUEST, "x-api-version must be 2024-11-01");
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !kind.is_some_and(|it| it.starts_with("application/json")) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json is expected");
    }
    Ok(())
}

/// How a client calls itself, so that a finding says whose it was.
fn client_of(headers: &HeaderMap) -> &str {
    headers.get(CLIENT).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

async fn carry_out(app: &Arc<App>, mut prepared: Prepared, body: Bytes, client: &str) -> Result<Response, Reset> {
    let calls = std::mem::take(&mut prepared.calls);
    let tasks: Vec<Task> = calls.into_iter().map(|call| task(app, call)).collect();
    let Some(first) = tasks.first() else {
        let answer = app.engine.render(&prepared, Vec::new(), app.options.error_shape);
        return Ok(json_answer(StatusCode::OK, &answer));
    };
    let (operation, order) = (first.field.clone(), order_key(first));
    app.judge.counted(&operation);
    app.log(Logged::new(&operation, &order, body));
    if prepared.mutation && tasks.len() > 1 {
        let kind = Wrong::SeveralMutationsInOneRequest;
        app.judge.found(kind, &order, "more than one root field");
    }
    let watched = if prepared.mutation {
        let arrival = app.options.fast.then(|| app.arrivals.note(&order, first.things()));
        Watched::Mutation(app.judge.mutation(&order), arrival)
    } else {
        Watched::Query(app.judge.read(&order))
    };
    inspect(app, &tasks);
    let rule = app.faults.pick(&operation, &|name| first.is_about(name));
    let rule = rule.unwrap_or_default();
    let wait = app.options.latency + Duration::from_millis(rule.latency_ms);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    answer(app, prepared, tasks, &rule, (&operation, &order, client), watched).await
}

impl Task {
    /// Whether a name is the order's id or one of its aliases.
    fn is_about(&self, name: &str) -> bool {
        let named = self.named.as_ref();
        let alias = named.and_then(|it| it.alias.as_ref());
        let held = |cell: &Arc<Cell>| cell.id == name || cell.read().aliases.iter().any(|it| it.alias_id == name);
        alias.is_some_and(|it| it.alias_id == name)
            || named.is_some_and(|it| it.order_id.as_deref() == Some(name))
            || self.cell.as_ref().is_ok_and(held)
    }

    /// What each return and refund in it is called.
    fn things(&self) -> Vec<String> {
        let What::Update(input) = &self.what else {
            return Vec::new();
        };
        let first = |aliases: &Option<Vec<Alias>>| aliases.iter().flatten().next().map(|it| it.alias_id.clone());
        let returns = input.returns.iter().flat_map(|it| it.details.iter().flatten());
        let returns = returns.filter_map(|it| first(&it.aliases).or_else(|| it.return_identifier.as_ref()?.id.clone()));
        let refunds = input.refunds.iter().flat_map(|it| it.details.iter().flatten());
        returns.chain(refunds.filter_map(|it| first(&it.aliases).or_else(|| it.id.clone()))).collect()
    }
}

/// An order is known to the judge by its BwP id, an unknown one by the name that was used.
fn order_key(task: &Task) -> String {
    let named = task.named.as_ref();
    match (&task.cell, named.and_then(|it| it.alias.as_ref())) {
        (Ok(cell), _) => cell.id.clone(),
        (_, Some(alias)) => format!("?{}/{}", alias.alias_type, alias.alias_id),
        _ => {
            let id = named.and_then(|it| it.order_id.as_deref());
            format!("?{}", id.unwrap_or_default())
        }
    }
}

/// Takes an argument of a call.
fn argument<T: DeserializeOwned>(call: &mut Call, name: &str) -> Result<T, ApiError> {
    let value = match &mut call.arguments {
        Arguments::Json(arguments) => arguments.remove(name),
        Arguments::Text(arguments) => {
            let text = arguments.iter().find(|(it, _)| it == name).map(|(_, text)| text.as_str());
            match text.map(serde_json::from_str::<T>) {
                Some(Ok(value)) => return Ok(value),
                // The long way has the words for it.
                _ => text.and_then(|it| serde_json::from_str(it).ok()),
            }
        }
    };
    serde_json_bytes::from_value(value.unwrap_or(Value::Null))
        .map_err(|error| ApiError::validation("InvalidInput", format!("{name}: {error}")))
}

fn task(app: &App, mut call: Call) -> Task {
    let named = argument::<OrderIdentifier>(&mut call, "orderIdentifier");
    let cell = match &named {
        Ok(named) => find(app, named),
        Err(error) => Err(error.clone()),
    };
    let what = match call.field.as_str() {
        "order" => What::Read,
        "updateOrder" => argument(&mut call, "input").map_or_else(What::Bad, |it| What::Update(Box::new(it))),
        _ => argument(&mut call, "input").map_or_else(What::Bad, What::Packages),
    };
    Task { key: call.key, field: call.field, named: named.ok(), cell, what }
}

fn find(app: &App, named: &OrderIdentifier) -> Result<Arc<Cell>, ApiError> {
    if named.order_id.is_some() == named.alias.is_some() {
        let message = "exactly one of orderId and alias is expected";
        return Err(ApiError::validation("InvalidOrderIdentifier", message));
    }
    app.store.find(named).ok_or_else(ApiError::not_found)
}

/// Shows the judge what is asked for, whatever will become of it.
fn inspect(app: &App, tasks: &[Task]) {
    for task in tasks {
        if let (Ok(cell), What::Update(input)) = (&task.cell, &task.what) {
            for (kind, detail) in checks::asked(&cell.read(), input) {
                app.judge.found(kind, &cell.id, detail);
            }
        }
    }
}

fn perform(app: &App, tasks: Vec<Task>) -> Vec<(String, CallResult)> {
    let each = |task: Task| (task.key, task.cell.and_then(|cell| act(app, &cell, task.what)));
    tasks.into_iter().map(each).collect()
}

/// The orders as they are.
fn look(tasks: Vec<Task>) -> Vec<(String, CallResult)> {
    tasks.into_iter().map(|task| (task.key, task.cell.map(|cell| cell.read()))).collect()
}

fn act(app: &App, cell: &Arc<Cell>, what: What) -> CallResult {
    let Applied { before, after } = match what {
        What::Read => return Ok(cell.read()),
        What::Bad(error) => return Err(error),
        What::Update(input) => app.store.update(cell, *input)?,
        What::Packages(input) => app.store.update_packages(cell, input)?,
    };
    for (kind, detail) in checks::done(&before, &after) {
        app.judge.found(kind, &cell.id, detail);
    }
    Ok(after)
}

async fn answer(
    app: &Arc<App>,
    prepared: Prepared,
    tasks: Vec<Task>,
    rule: &Rule,
    (operation, order, client): (&str, &str, &str),
    watched: Watched,
) -> Result<Response, Reset> {
    let by_default = match rule.answer {
        Answer::Normal | Answer::Beside { .. } => Apply::Yes,
        _ => Apply::No,
    };
    let results = match rule.apply.unwrap_or(by_default) {
        Apply::Yes => perform(app, tasks),
        // There is data beside these errors, also where nothing was changed.
        Apply::No if matches!(rule.answer, Answer::Beside { .. }) => look(tasks),
        Apply::No => Vec::new(),
        Apply::LateMs(late) => {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(late)).await;
                perform(&app, tasks);
            });
            Vec::new()
        }
    };
    let plain = plain_answer(app, &rule.answer).await?;
    let verdict = verdict(&rule.answer, &results);
    let mut response = match plain {
        Some(response) => response,
        None => match app.engine.show(&prepared, &results).filter(|_| rule.answer == Answer::Normal) {
            Some(text) => json_text(text),
            None => json_answer(StatusCode::OK, &body_of(app, &prepared, results, &rule.answer, operation)),
        },
    };
    let hold = rule.answer.retry_after().map(|wait| {
        let (header, until) = wait.header();
        retry_after(&mut response, &header);
        until
    });
    if let Some(until) = hold {
        app.judge.hold(order, until, client);
    }
    match watched {
        Watched::Mutation(flight, arrival) => {
            if let Some(place) = arrival.filter(|_| verdict == Verdict::Accepted) {
                app.arrivals.accepted(place);
            }
            flight.end(verdict);
        }
        // A read that finds no order is a read; one that the script answered is none.
        Watched::Query(reading) if rule.answer == Answer::Normal => {
            app.judge.read_ended(order, &reading);
        }
        Watched::Query(_) => {}
    }
    Ok(response)
}

fn body_of(app: &App, prepared: &Prepared, results: Vec<(String, CallResult)>, answer: &Answer, operation: &str) -> Value {
    let options = &app.options;
    let error = |kind: &str, code: &Option<String>| {
        let code = code.clone().map(Into::into);
        let payers = if options.quotes_payers { payers(prepared.body()) } else { String::new() };
        ApiError::new(kind.to_owned(), code, format!("the fault script says so{payers}")).entry(operation, options.error_shape)
    };
    match answer {
        Answer::NullData => json!({"data": null}),
        Answer::Errors { kind, code, .. } => json!({
            "data": refused_data(operation, options.error_data),
            "errors": [error(kind, code)],
        }),
        Answer::Beside { kind, code } => {
            let mut body = app.engine.render(prepared, results, options.error_shape);
            if let Some(body) = body.as_object_mut() {
                body.insert("errors", json!([error(kind, code)]));
            }
            body
        }
        _ => {
            let refused = results.iter().any(|(_, it)| it.is_err());
            let mut body = app.engine.render(prepared, results, options.error_shape);
            if let Some(body) = body.as_object_mut().filter(|_| refused && prepared.mutation) {
                body.insert("data", refused_data(operation, options.error_data));
            }
            body
        }
    }
}

fn of_type(kind: &str) -> Verdict {
    if CLEAR_REFUSALS.contains(&kind) { Verdict::Refused } else { Verdict::Unclear("an error that is not clear") }
}

/// Every text below a `payer` of a request.
fn payers(request: &[u8]) -> String {
    fn collect(value: &serde_json::Value, in_payer: bool, texts: &mut String) {
        match value {
            serde_json::Value::String(text) if in_payer => *texts += &format!(", {text}"),
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, in_payer, texts)),
            serde_json::Value::Object(members) => {
                members.iter().for_each(|(name, member)| collect(member, in_payer || name == "payer", texts));
            }
            _ => {}
        }
    }
    let mut texts = String::new();
    collect(&serde_json::from_slice(request).unwrap_or_default(), false, &mut texts);
    texts
}

fn verdict(answer: &Answer, results: &[(String, CallResult)]) -> Verdict {
    match answer {
        Answer::Normal => {
            let error = results.iter().find_map(|(_, it)| it.as_ref().err());
            error.map_or(Verdict::Accepted, |error| of_type(&error.kind))
        }
        Answer::TooManyRequests { .. } | Answer::Unauthorized => Verdict::Refused,
        Answer::Status { status, .. } if *status < 500 => Verdict::Refused,
        Answer::Status { .. } => Verdict::Unclear("a 5xx"),
        Answer::Html => Verdict::Unclear("a page"),
        Answer::Errors { kind, .. } => of_type(kind),
        Answer::NullData => Verdict::Unclear("null data"),
        Answer::Beside { .. } if results.iter().any(|(_, it)| it.is_ok()) => Verdict::Unclear("errors beside data"),
        // Of an order that is not there, there is no data.
        Answer::Beside { kind, .. } => of_type(kind),
        Answer::Reset | Answer::Never => Verdict::Unclear("a missing answer"),
    }
}
