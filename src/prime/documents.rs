//! The three GraphQL documents, and the request body made of one of them.
//!
//! Values go in `variables`, always; nothing is ever spliced into a document. What a mutation
//! selects is what teaches us ids, so that a send needs no read of its own, and no more than that:
//! each answer shows everything that the order has. `payer` is nowhere selected: personal data
//! never comes back.

use std::sync::LazyLock;

use bytes::Bytes;

/// What is asked of BwP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `updateOrder`: everything that production takes.
    UpdateOrder,
    /// `updateOrderPackageInformation`: exists in the sandbox only.
    UpdatePackages,
    /// `order`: the only read.
    ReadOrder,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::UpdateOrder, Self::UpdatePackages, Self::ReadOrder];

    /// BwP's name of the operation, which is also the name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpdateOrder => "updateOrder",
            Self::UpdatePackages => "updateOrderPackageInformation",
            Self::ReadOrder => "order",
        }
    }

    /// The document; for the read the first of [`READ_ORDER`].
    pub const fn document(self) -> &'static str {
        match self {
            Self::UpdateOrder => UPDATE_ORDER,
            Self::UpdatePackages => UPDATE_PACKAGES,
            Self::ReadOrder => READ_ORDER[0],
        }
    }

    /// Whether BwP may hold something else afterwards.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::ReadOrder)
    }

    /// The request body around variables that are JSON already: amounts keep their exact text.
    pub(super) fn body(self, form: ReadForm, variables: &str) -> Bytes {
        let head = match self {
            Self::UpdateOrder => &HEADS[0],
            Self::UpdatePackages => &HEADS[1],
            Self::ReadOrder => &HEADS[2 + form.0],
        };
        let mut body = String::with_capacity(head.len() + variables.len() + 1);
        body.push_str(head);
        body.push_str(variables);
        body.push('}');
        body.into()
    }
}

/// Which of [`READ_ORDER`] is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ReadForm(pub(super) usize);

/// Everything before the variables, escaped once.
static HEADS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let writes = [Operation::UpdateOrder, Operation::UpdatePackages];
    let writes = writes.map(|operation| (operation, operation.document()));
    let reads = READ_ORDER.map(|document| (Operation::ReadOrder, document));
    let head = |(operation, document): (Operation, &str)| {
        let query = serde_json::Value::from(document);
        let name = operation.name();
        format!(r#"{{"query":{query},"operationName":"{name}","variables":"#)
    };
    writes.into_iter().chain(reads).map(head).collect()
});

/// `updateOrder`.
pub const UPDATE_ORDER: &str = "\
mutation updateOrder($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderInput!) {
  updateOrder(orderIdentifier: $orderIdentifier, input: $input) {
    order {
      id
      aliases { aliasType aliasId }
      lineItems { id aliases { aliasType aliasId } }
      returns { details { id aliases { aliasType aliasId } } }
      refunds { details { id aliases { aliasType aliasId } } }
      packageInformation { details { id aliases { aliasType aliasId } } }
    }
  }
}";

/// `updateOrderPackageInformation`. It is applied later, so its answer shows nothing new.
pub const UPDATE_PACKAGES: &str = "\
mutation updateOrderPackageInformation($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderPackageInformationInput!) {
  updateOrderPackageInformation(orderIdentifier: $orderIdentifier, input: $input) {
    order { id }
  }
}";

macro_rules! read_order {
    ($package_lines:literal) => {
        concat!(
            "query order($orderIdentifier: OrderIdentifierInput!) {
  order(orderIdentifier: $orderIdentifier) {
    id
    metadata { executionState }
    aliases { aliasType aliasId }
    orderLinks { destinationType url }
    totalPrice { value { amount currencyCode } }
    taxes { summary { collectableTaxAmount { amount currencyCode } } }
    discounts { summary { amount { amount currencyCode } displayString } }
    payments { details { id amount { amount currencyCode } state paymentMethod { displayString type } } }
    lineItems {
      id
      amount { value }
      aliases { aliasType aliasId }
      taxes { summary { collectableTaxAmount { amount currencyCode } } }
      discounts { summary { amount { amount currencyCode } displayString } }
      payments { details { id amount { amount currencyCode } state paymentMethod { displayString type } } }
    }
    returns {
      details {
        id
        state
        aliases { aliasType aliasId }
        returnLineItems { returnFor { orderLineItemAmounts { amount { value } lineItem { id } } } }
      }
    }
    refunds {
      details {
        id
        state
        aliases { aliasType aliasId }
        refundRequestReason
        refundStatusReason
        refundTotal { totalAmount { amount currencyCode } }
        refundFor { orderLineItems { lineItem { id } amount { value } } }
        paymentDetails { id amount { amount currencyCode } state paymentMethod { displayString type } }
      }
    }
    packageInformation {
      details {
        id
        state
        reason
        aliases { aliasType aliasId }
        packageTracker {
          packageTrackerIdentifier { trackingNumber carrierCode }
          latestMilestone { status { code } }
        }",
            $package_lines,
            "
      }
    }
  }
}"
        )
    };
}

/// The forms of the read, in the order in which they are tried: it is not documented whether a
/// package's lines are read as `orderLineItems` (a production connector reads that) or as
/// `orderLineItemAmounts` (the input's name), and one unknown name makes BwP refuse a whole read.
/// The last form does without.
pub const READ_ORDER: [&str; 3] = [
    read_order!(
        "
        packageInformationDetailsFor { orderLineItems { lineItem { id } amount { value } } }"
    ),
    read_order!(
        "
        packageInformationDetailsFor { orderLineItemAmounts { lineItem { id } amount { value } } }"
    ),
    read_order!(""),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_body_is_json_and_keeps_the_text_of_its_variables() {
        for operation in Operation::ALL {
            let body = operation.body(ReadForm::default(), r#"{"amount":38.790}"#);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["query"], operation.document());
            assert_eq!(json["operationName"], operation.name());
            assert_eq!(json["variables"]["amount"].to_string(), "38.790");
        }
        let last = Operation::ReadOrder.body(ReadForm(2), "{}");
        let json: serde_json::Value = serde_json::from_slice(&last).unwrap();
        assert_eq!(json["query"], READ_ORDER[2]);
    }
}
