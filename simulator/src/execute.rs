//! GraphQL on the pinned SDL and nothing else: parse and validate documents (cached by their text), coerce variables, find
//! which fields are called with which arguments, and have the selected part of the resulting orders written. Usual documents
//! take the short way (`plan`, `canonical`, `show`), all others the long one (`resolve`); both give the same answer.

use crate::answer::ApiError;
use crate::canonical::{Variables, is_canonical};
use crate::options::{Environment, ErrorShape};
use crate::plan::{Plan, Root as PlannedRoot};
use crate::resolve::{Collector, Root, object};
use crate::show;
use crate::state::{Order, lock};
use apollo_compiler::ast::Type;
use apollo_compiler::collections::HashMap;
use apollo_compiler::executable::Operation;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::resolvers::{Execution, ObjectValue};
use apollo_compiler::response::{GraphQLError, JsonMap};
use apollo_compiler::schema::{ExtendedType, Implementers};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Schema};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json_bytes::{Value, json};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// The pinned schema of API version 2024-11-01.
pub const SDL: &str = include_str!("../../schemas/bwp-2024-11-01.graphql");

const SANDBOX_ONLY: &str = "updateOrderPackageInformation";
const CACHED_DOCUMENTS: usize = 256;

/// The SDL is not valid GraphQL; cannot happen with the one that is built in.
#[derive(Debug, thiserror::Error)]
#[error("schemas/bwp-2024-11-01.graphql: {0}")]
pub struct SchemaError(String);

/// `errors` of a request that GraphQL itself refuses.
pub(crate) type RequestErrors = Vec<Value>;

pub(crate) struct Engine {
    schema: Valid<Schema>,
    implementers: HashMap<Name, Implementers>,
    documents: Mutex<std::collections::HashMap<String, Arc<Known>>>,
    /// Whether values are taken as they come.
    trusting: bool,
}

/// A valid document, and the short way through it where there is one.
struct Known {
    document: Valid<ExecutableDocument>,
    plan: Option<Plan>,
}

/// A request's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked<'a> {
    #[serde(borrow)]
    pub query: Cow<'a, str>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
    #[serde(borrow)]
    operation_name: Option<Cow<'a, str>>,
}

impl Asked<'_> {
    fn variables(&self) -> JsonMap {
        let value = self.variables.and_then(|it| serde_json::from_str::<Value>(it.get()).ok());
        match value {
            Some(Value::Object(members)) => members,
            _ => JsonMap::new(),
        }
    }
}

/// The arguments of a call.
pub(crate) enum Arguments {
    /// Coerced.
    Json(JsonMap),
    /// As they were written, where coercion would leave them alone.
    Text(Vec<(String, String)>),
}

/// One root field that a request calls.
pub(crate) struct Call {
    pub key: String,
    pub field: String,
    pub arguments: Arguments,
}

/// A checked request: what it calls, and all that is needed to write its answer.
pub(crate) struct Prepared {
    known: Arc<Known>,
    operation: Option<String>,
    body: Bytes,
    pub mutation: bool,
    pub calls: Vec<Call>,
}

impl Prepared {
    /// The request's body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// What became of one call.
pub(crate) type CallResult = Result<Arc<Order>, ApiError>;

impl Engine {
    pub fn new(environment: Environment, trusting: bool) -> Result<Self, SchemaError> {
        let failed = |errors: &dyn std::fmt::Display| SchemaError(errors.to_string());
        let mut schema = Schema::parse(SDL, "bwp-2024-11-01.graphql").map_err(|it| failed(&it.errors))?;
        if environment == Environment::Production
            && let Some(ExtendedType::Object(mutation)) = schema.types.get_mut("Mutation")
        {
            mutation.make_mut().fields.shift_remove(SANDBOX_ONLY);
        }
        let schema = schema.validate().map_err(|it| failed(&it.errors))?;
        Ok(Self { implementers: schema.implementers_map(), schema, documents: Mutex::default(), trusting })
    }

    /// Checks a document and its variables, and finds its calls.
    pub fn prepare(&self, asked: &Asked<'_>, body: &Bytes) -> Result<Prepared, RequestErrors> {
        let known = self.document(&asked.query)?;
        let name = asked.operation_name.as_deref();
        if let Some(plan) = known.plan.as_ref().filter(|it| name.is_none() || it.name.as_deref() == name)
            && let Some(calls) = self.calls(plan, asked)
        {
            let (operation, mutation, body) = (plan.name.clone(), plan.mutation, body.clone());
            return Ok(Prepared { known, operation, body, mutation, calls });
        }
        let document = &known.document;
        let plain = |message: String| vec![graphql_error(&message)];
        let operation = document.operations.get(name);
        let operation = operation.map_err(|it| plain(it.message().to_string()))?;
        let variables =
            coerce_variable_values(&self.schema, operation, &asked.variables()).map_err(|it| plain(it.message().to_string()))?;
        let collector = Collector { type_name: operation.object_type().as_str(), calls: RefCell::default() };
        let outcome = self.run(document, operation, &variables, &collector);
        let outcome = outcome.map_err(plain)?;
        if !outcome.errors.is_empty() {
            let errors = outcome.errors.iter();
            return Err(errors.map(|it| graphql_error(&it.message)).collect());
        }
        Ok(Prepared {
            mutation: operation.is_mutation(),
            operation: operation.name.as_ref().map(ToString::to_string),
            calls: collector.calls.into_inner(),
            body: body.clone(),
            known: Arc::clone(&known),
        })
    }

    /// The calls of a plan, where the variables need no coercion.
    fn calls(&self, plan: &Plan, asked: &Asked<'_>) -> Option<Vec<Call>> {
        let variables: Variables<'_> = serde_json::from_str(asked.variables?.get()).ok()?;
        let fits = |(name, ty): &(String, Type)| match variables.get(name) {
            Some(text) => self.trusting || is_canonical(&self.schema, ty, text),
            None => !ty.is_non_null(),
        };
        if !variables.unique() || !plan.variables.iter().all(fits) {
            return None;
        }
        let argument = |(name, variable): &(String, String)| variables.get(variable).map(|text| (name.clone(), text.to_owned()));
        let call = |root: &PlannedRoot| Call {
            key: root.key.clone(),
            field: root.field.name.clone(),
            arguments: Arguments::Text(root.arguments.iter().filter_map(argument).collect()),
        };
        Some(plan.roots.iter().map(call).collect())
    }

    fn document(&self, text: &str) -> Result<Arc<Known>, RequestErrors> {
        if let Some(known) = lock(&self.documents).get(text) {
            return Ok(Arc::clone(known));
        }
        let parsed = ExecutableDocument::parse_and_validate(&self.schema, text, "request.graphql");
        let document = parsed.map_err(|failed| {
            let errors = failed.errors.iter();
            errors.map(|it| graphql_error(&it.to_json().message)).collect::<RequestErrors>()
        })?;
        let plan = Plan::compile(&self.schema, &document);
        let known = Arc::new(Known { document, plan });
        let mut documents = lock(&self.documents);
        if documents.len() >= CACHED_DOCUMENTS {
            documents.clear();
        }
        documents.insert(text.to_owned(), Arc::clone(&known));
        Ok(known)
    }

    /// The answer's body by the short way: only where every call went well and the orders fit the plan.
    pub fn show(&self, prepared: &Prepared, results: &[(String, CallResult)]) -> Option<Vec<u8>> {
        let plan = prepared.known.plan.as_ref()?;
        let orders: Vec<&Order> = results.iter().map(|(_, it)| it.as_deref().ok()).collect::<Option<_>>()?;
        if orders.is_empty() || orders.len() != plan.roots.len() {
            return None;
        }
        let text = show::data(plan, orders.into_iter()).ok()?;
        debug_assert_eq!(text, self.shown_long(prepared, results), "both ways give one answer");
        Some(text)
    }

    /// What the short way has to equal, byte for byte; asked in debug builds only.
    fn shown_long(&self, prepared: &Prepared, results: &[(String, CallResult)]) -> Vec<u8> {
        let long = self.render(prepared, results.to_vec(), ErrorShape::Classification);
        serde_json::to_vec(&long).unwrap_or_default()
    }

    /// The answer's body: what was selected of the orders, and the errors.
    pub fn render(&self, prepared: &Prepared, results: Vec<(String, CallResult)>, shape: ErrorShape) -> Value {
        let operations = &prepared.known.document.operations;
        let Ok(operation) = operations.get(prepared.operation.as_deref()) else {
            return Value::Null;
        };
        let given = serde_json::from_slice::<Asked<'_>>(&prepared.body).map(|it| it.variables());
        let Ok(variables) = coerce_variable_values(&self.schema, operation, &given.unwrap_or_default()) else {
            return Value::Null;
        };
        let errors: Vec<Value> =
            results.iter().filter_map(|(key, it)| it.as_ref().err().map(|error| error.entry(key, shape))).collect();
        let root = Root { type_name: operation.object_type().as_str(), results };
        let outcome = self.run(&prepared.known.document, operation, &variables, &root);
        let (data, own) = match outcome {
            Ok(outcome) => (outcome.data, outcome.errors),
            Err(message) => (None, vec![GraphQLError::new(message, None, &Arc::default())]),
        };
        let own = own.iter().map(|it| graphql_error(&it.message));
        let errors: Vec<Value> = errors.into_iter().chain(own).collect();
        let data = data.map_or(Value::Null, Value::Object);
        if errors.is_empty() { object([("data", data)]) } else { object([("data", data), ("errors", Value::Array(errors))]) }
    }

    fn run(
        &self,
        document: &Valid<ExecutableDocument>,
        operation: &Operation,
        variables: &Valid<JsonMap>,
        root: &dyn ObjectValue,
    ) -> Result<apollo_compiler::response::ExecutionResponse, String> {
        Execution::new(&self.schema, document)
            .operation(operation)
            .implementers_map(&self.implementers)
            .coerced_variable_values(variables)
            .execute_sync(root)
            .map_err(|it| it.message().to_string())
    }
}

/// What GraphQL servers say of a request that does not fit the schema: the classification is a plain string here.
pub(crate) fn graphql_error(message: &str) -> Value {
    json!({"message": message, "extensions": {"classification": "ValidationError"}})
}
