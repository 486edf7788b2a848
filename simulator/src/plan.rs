//! The short way through a request that is written as clients write them: one operation, plain fields, arguments that are
//! variables. It is compiled once per document from the same SDL, decides nothing that `execute` would decide otherwise, and
//! gives up (`None`, [`Irregular`]) wherever it is not sure; the long way then answers.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::{Type, Value};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{Node, Schema};

/// The value does not fit the plan.
#[derive(Debug)]
pub(crate) struct Irregular;

/// What to select of an object, or that it is a leaf.
pub(crate) enum Kind {
    Object { fields: Vec<Planned>, is_line: bool },
    Float,
    Text,
    Enum(Vec<String>),
    Other,
}

/// One selected field.
pub(crate) struct Planned {
    pub name: String,
    /// `"key":`
    pub key: String,
    pub list: bool,
    pub required: bool,
    pub kind: Kind,
}

/// A root field: its response key, its name, and the variable of each argument.
pub(crate) struct Root {
    pub key: String,
    pub arguments: Vec<(String, String)>,
    pub field: Planned,
}

pub(crate) struct Plan {
    pub name: Option<String>,
    pub roots: Vec<Root>,
    /// Name and type of each variable.
    pub variables: Vec<(String, Type)>,
    pub mutation: bool,
}

impl Plan {
    /// `None` where the document is not of the usual form.
    pub fn compile(schema: &Schema, document: &ExecutableDocument) -> Option<Self> {
        let mut operations = document.operations.iter();
        let (Some(operation), None) = (operations.next(), operations.next()) else {
            return None;
        };
        Some(Self {
            name: operation.name.as_ref().map(ToString::to_string),
            roots: roots(schema, operation)?,
            variables: variables(operation)?,
            mutation: operation.is_mutation(),
        })
    }
}

fn variables(operation: &Operation) -> Option<Vec<(String, Type)>> {
    let plain = |it: &Node<apollo_compiler::ast::VariableDefinition>| {
        it.default_value.is_none().then(|| (it.name.to_string(), Type::clone(&it.ty)))
    };
    operation.variables.iter().map(plain).collect()
}

fn roots(schema: &Schema, operation: &Operation) -> Option<Vec<Root>> {
    let root = |field: &Node<Field>| {
        let variable = |it: &Node<apollo_compiler::ast::Argument>| match it.value.as_ref() {
            Value::Variable(variable) => Some((it.name.to_string(), variable.to_string())),
            _ => None,
        };
        // An argument that is left out might have a default.
        let all = field.arguments.len() == field.definition.arguments.len();
        let arguments = field.arguments.iter().map(variable).collect::<Option<Vec<_>>>().filter(|_| all)?;
        Some(Root { key: field.response_key().to_string(), arguments, field: planned(schema, field)? })
    };
    fields(&operation.selection_set)?.into_iter().map(root).collect()
}

/// The fields of a selection: no fragments, no directives, no meta fields, no key twice.
fn fields(set: &SelectionSet) -> Option<Vec<&Node<Field>>> {
    let mut found: Vec<&Node<Field>> = Vec::new();
    for selection in &set.selections {
        let Selection::Field(field) = selection else {
            return None;
        };
        let twice = found.iter().any(|it| it.response_key() == field.response_key());
        if twice || !field.directives.is_empty() || field.name.starts_with("__") {
            return None;
        }
        found.push(field);
    }
    Some(found)
}

fn planned(schema: &Schema, field: &Node<Field>) -> Option<Planned> {
    let ty = &field.definition.ty;
    let named = ty.inner_named_type();
    let kind = match schema.types.get(named)? {
        ExtendedType::Object(_) => {
            let fields = fields(&field.selection_set)?;
            let fields: Option<Vec<Planned>> = fields.into_iter().map(|it| planned(schema, it)).collect();
            Kind::Object { fields: fields?, is_line: named == "LineItem" }
        }
        ExtendedType::Enum(of) => Kind::Enum(of.values.keys().map(ToString::to_string).collect()),
        ExtendedType::Scalar(_) => match named.as_str() {
            "Float" => Kind::Float,
            "String" | "ID" => Kind::Text,
            _ => Kind::Other,
        },
        _ => return None,
    };
    let list = match ty {
        Type::List(item) | Type::NonNullList(item) if item.is_list() => return None,
        ty => ty.is_list(),
    };
    Some(Planned {
        name: field.name.to_string(),
        key: format!("\"{}\":", field.response_key()),
        list,
        required: ty.is_non_null(),
        kind,
    })
}
