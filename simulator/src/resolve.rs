//! The long way to an answer: apollo-compiler executes the operation, and the objects here resolve its fields. The shape of
//! every answer comes from the SDL; there is no second schema in Rust.

use crate::execute::{Arguments, Call, CallResult};
use crate::state::{Order, PackageState};
use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::JsonMap;
use serde_json::Number;
use serde_json_bytes::Value;
use std::borrow::Cow;
use std::cell::RefCell;

/// Notes the root fields and their coerced arguments; resolves nothing.
pub(crate) struct Collector<'s> {
    pub type_name: &'s str,
    pub calls: RefCell<Vec<Call>>,
}

impl ObjectValue for Collector<'_> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        self.calls.borrow_mut().push(Call {
            key: response_key(info).to_owned(),
            field: info.field_name().to_owned(),
            arguments: Arguments::Json(info.arguments().clone()),
        });
        Ok(ResolvedValue::null())
    }
}

fn response_key<'a>(info: &'a ResolveInfo<'a>) -> &'a str {
    info.field_selections().first().map_or(info.field_name(), |it| it.response_key().as_str())
}

/// Hands out the orders that the calls resulted in.
pub(crate) struct Root<'s> {
    pub type_name: &'s str,
    pub results: Vec<(String, CallResult)>,
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
pub(crate) fn summary(order: &Order) -> Option<PackageState> {
    use PackageState::{Cancelled, Delivered, InTransit, Pending};
    [Pending, InTransit, Delivered, Cancelled].into_iter().find(|state| order.packages.iter().any(|it| it.state == *state))
}

/// `json!` would copy its parts; these are moved.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
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
