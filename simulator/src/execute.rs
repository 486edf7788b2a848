//! GraphQL on the pinned SDL and nothing else: parse and validate documents (cached by their text), coerce variables, find
//! which fields are called with which arguments, and write the selected part of the resulting orders. The shape of every
//! answer comes from the SDL; there is no second schema in Rust.

use crate::answer::ApiError;
use crate::options::{Environment, ErrorShape};
use crate::state::{Order, PackageState, lock};
use apollo_compiler::collections::HashMap;
use apollo_compiler::executable::Operation;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::resolvers::{Execution, FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::{GraphQLError, JsonMap};
use apollo_compiler::schema::{ExtendedType, Implementers};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Schema};
use serde_json::Number;
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
    documents: Mutex<std::collections::HashMap<String, Arc<Valid<ExecutableDocument>>>>,
}

/// One root field that a request calls.
pub(crate) struct Call {
    pub key: String,
    pub field: String,
    pub arguments: JsonMap,
}

/// A checked request: what it calls, and all that is needed to write its answer.
pub(crate) struct Prepared {
    document: Arc<Valid<ExecutableDocument>>,
    operation: Option<String>,
    variables: Valid<JsonMap>,
    pub mutation: bool,
    pub calls: Vec<Call>,
}

/// What became of one call.
pub(crate) type CallResult = Result<Arc<Order>, ApiError>;

impl Engine {
    pub fn new(environment: Environment) -> Result<Self, SchemaError> {
        let failed = |errors: &dyn std::fmt::Display| SchemaError(errors.to_string());
        let mut schema = Schema::parse(SDL, "bwp-2024-11-01.graphql").map_err(|it| failed(&it.errors))?;
        if environment == Environment::Production
            && let Some(ExtendedType::Object(mutation)) = schema.types.get_mut("Mutation")
        {
            mutation.make_mut().fields.shift_remove(SANDBOX_ONLY);
        }
        let schema = schema.validate().map_err(|it| failed(&it.errors))?;
        Ok(Self { implementers: schema.implementers_map(), schema, documents: Mutex::default() })
    }

    /// Checks a document and its variables, and finds its calls.
    pub fn prepare(&self, text: &str, variables: &JsonMap, name: Option<&str>) -> Result<Prepared, RequestErrors> {
        let document = self.document(text)?;
        let plain = |message: String| vec![graphql_error(&message)];
        let operation = document.operations.get(name);
        let operation = operation.map_err(|it| plain(it.message().to_string()))?;
        let variables =
            coerce_variable_values(&self.schema, operation, variables).map_err(|it| plain(it.message().to_string()))?;
        let collector = Collector { type_name: operation.object_type().as_str(), calls: RefCell::default() };
        let outcome = self.run(&document, operation, &variables, &collector);
        let outcome = outcome.map_err(plain)?;
        if !outcome.errors.is_empty() {
            let errors = outcome.errors.iter();
            return Err(errors.map(|it| graphql_error(&it.message)).collect());
        }
        Ok(Prepared {
            mutation: operation.is_mutation(),
            operation: operation.name.as_ref().map(ToString::to_string),
            calls: collector.calls.into_inner(),
            document: Arc::clone(&document),
            variables,
        })
    }

    fn document(&self, text: &str) -> Result<Arc<Valid<ExecutableDocument>>, RequestErrors> {
        if let Some(known) = lock(&self.documents).get(text) {
            return Ok(Arc::clone(known));
        }
        let parsed = ExecutableDocument::parse_and_validate(&self.schema, text, "request.graphql");
        let document = parsed.map(Arc::new).map_err(|failed| {
            let errors = failed.errors.iter();
            errors.map(|it| graphql_error(&it.to_json().message)).collect::<RequestErrors>()
        })?;
        let mut documents = lock(&self.documents);
        if documents.len() >= CACHED_DOCUMENTS {
            documents.clear();
        }
        documents.insert(text.to_owned(), Arc::clone(&document));
        Ok(document)
    }

    /// The answer's body: what was selected of the orders, and the errors.
    pub fn render(&self, prepared: &Prepared, results: Vec<(String, CallResult)>, shape: ErrorShape) -> Value {
        let operations = &prepared.document.operations;
        let Ok(operation) = operations.get(prepared.operation.as_deref()) else {
            return Value::Null;
        };
        let errors: Vec<Value> =
            results.iter().filter_map(|(key, it)| it.as_ref().err().map(|error| error.entry(key, shape))).collect();
        let root = Root { type_name: operation.object_type().as_str(), results };
        let outcome = self.run(&prepared.document, operation, &prepared.variables, &root);
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

/// Notes the root fields and their coerced arguments; resolves nothing.
struct Collector<'s> {
    type_name: &'s str,
    calls: RefCell<Vec<Call>>,
}

impl ObjectValue for Collector<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        self.calls.borrow_mut().push(Call {
            key: response_key(info).to_owned(),
            field: info.field_name().to_owned(),
            arguments: info.arguments().clone(),
        });
        Ok(ResolvedValue::null())
    }
}

fn response_key<'a>(info: &'a ResolveInfo<'a>) -> &'a str {
    info.field_selections().first().map_or(info.field_name(), |it| it.response_key().as_str())
}

/// Hands out the orders that the calls resulted in.
struct Root<'s> {
    type_name: &'s str,
    results: Vec<(String, CallResult)>,
}

impl ObjectValue for Root<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let key = response_key(info);
        let result = self.results.iter().find(|(it, _)| it == key);
        let Some((_, Ok(order))) = result else {
            return Ok(ResolvedValue::null());
        };
        let type_name = info.field_definition().ty.inner_named_type().as_str();
        Ok(if type_name == "Order" {
            ResolvedValue::object(OrderView(order))
        } else {
            ResolvedValue::object(Payload { type_name, order })
        })
    }
}

/// `UpdateOrderResponse` and its like: an object around the order.
struct Payload<'a> {
    type_name: &'a str,
    order: &'a Order,
}

impl ObjectValue for Payload<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, _info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        Ok(ResolvedValue::object(OrderView(self.order)))
    }
}

/// An order; only the members that are selected are turned into JSON.
struct OrderView<'o>(&'o Order);

impl ObjectValue for OrderView<'_> {
    fn type_name(&self) -> &str {
        "Order"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let value = member(self.0, info.field_name());
        Ok(resolved(Cow::Owned(value), info, self.0))
    }
}

fn member(order: &Order, name: &str) -> Value {
    match name {
        "id" => Value::String(order.id.as_str().into()),
        "metadata" => object([
            ("executionState", to_json(&order.execution_state)),
            ("createdAt", to_json(&order.created_at)),
            ("updatedAt", to_json(&order.updated_at)),
        ]),
        "aliases" => to_json(&order.aliases),
        "orderLinks" => to_json(&order.order_links),
        "lineItems" => to_json(&order.line_items),
        "returns" => object([("details", to_json(&order.returns))]),
        "refunds" => object([("details", to_json(&order.refunds))]),
        "packageInformation" => {
            object([("summary", object([("state", to_json(&summary(order)))])), ("details", to_json(&order.packages))])
        }
        "payments" => to_json(&order.payments),
        "totalPrice" => to_json(&order.total_price),
        "taxes" => to_json(&order.taxes),
        "discounts" => to_json(&order.discounts),
        _ => Value::Null,
    }
}

/// Pending if any is; else on its way if any is; else delivered if one is; else cancelled.
fn summary(order: &Order) -> Option<PackageState> {
    use PackageState::{Cancelled, Delivered, InTransit, Pending};
    [Pending, InTransit, Delivered, Cancelled].into_iter().find(|state| order.packages.iter().any(|it| it.state == *state))
}

/// `json!` would copy its parts; these are moved.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut map = JsonMap::with_capacity(N);
    for (name, value) in members {
        map.insert(name, value);
    }
    Value::Object(map)
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json_bytes::to_value(value).unwrap_or(Value::Null)
}

/// Any other object: JSON whose type the schema knows.
struct View<'a> {
    type_name: &'a str,
    value: Cow<'a, Value>,
    order: &'a Order,
}

impl ObjectValue for View<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let value = self.value.get(info.field_name());
        Ok(value.map_or_else(ResolvedValue::null, |it| resolved(Cow::Borrowed(it), info, self.order)))
    }
}

fn resolved<'a>(value: Cow<'a, Value>, info: &'a ResolveInfo<'a>, order: &'a Order) -> ResolvedValue<'a> {
    match value {
        Cow::Borrowed(Value::Array(items)) => {
            ResolvedValue::list(items.iter().map(move |it| single(Cow::Borrowed(it), info, order)))
        }
        Cow::Owned(Value::Array(items)) => {
            ResolvedValue::list(items.into_iter().map(move |it| single(Cow::Owned(it), info, order)))
        }
        value => single(value, info, order),
    }
}

fn single<'a>(value: Cow<'a, Value>, info: &'a ResolveInfo<'a>, order: &'a Order) -> ResolvedValue<'a> {
    let type_name = info.field_definition().ty.inner_named_type().as_str();
    match value.as_ref() {
        Value::Null => ResolvedValue::null(),
        // Elsewhere in the order a line item is kept as its id.
        Value::Object(fields) if type_name == "LineItem" && fields.len() == 1 => {
            let id = fields.get("id").and_then(Value::as_str);
            let line = id.and_then(|id| order.line(id)).map(to_json);
            ResolvedValue::object(View { type_name, value: line.map_or(value, Cow::Owned), order })
        }
        Value::Object(_) => ResolvedValue::object(View { type_name, value, order }),
        // What Amazon reads back is a float, not the digits that were sent.
        Value::Number(number) if type_name == "Float" => {
            ResolvedValue::leaf(number.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number))
        }
        leaf => ResolvedValue::leaf(leaf.clone()),
    }
}
