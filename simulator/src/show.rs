//! Writes the selected part of an order as JSON, straight into the answer. What is selected and of which type it is comes
//! from the plan and so from the SDL; this file only says where a member of that name is kept.

use crate::plan::{Irregular, Kind, Plan, Planned};
use crate::resolve::summary;
use crate::state::{
    Alias, Amount, ExecutionState, Line, LineAmount, LineRef, Money, Order, Package, PackageFor, PackageState, Refund, RefundFor,
    RefundState, RefundTotal, Return, ReturnFor, ReturnLine, ReturnState, Tracker, TrackerIdentifier,
};
use serde_json::Number;
use serde_json_bytes::Value;
use std::sync::Arc;

type Shown = Result<(), Irregular>;

/// `{"data": ...}` of the orders that the root fields resulted in, one for each root of the plan.
pub(crate) fn data<'a>(plan: &Plan, orders: impl Iterator<Item = &'a Order>) -> Result<Vec<u8>, Irregular> {
    let mut out = Out { text: Vec::with_capacity(2048) };
    out.text.extend_from_slice(b"{\"data\":{");
    for (index, (root, order)) in plan.roots.iter().zip(orders).enumerate() {
        if index > 0 {
            out.text.push(b',');
        }
        out.text.extend_from_slice(root.field.key.as_bytes());
        if root.field.name == "order" {
            order.show(&root.field, order, &mut out)?;
        } else {
            // `UpdateOrderResponse` and its like: an object around the order.
            out.object(&root.field, |field, out| order.show(field, order, out))?;
        }
    }
    out.text.extend_from_slice(b"}}");
    Ok(out.text)
}

struct Out {
    text: Vec<u8>,
}

impl Out {
    fn object(&mut self, field: &Planned, mut member: impl FnMut(&Planned, &mut Self) -> Shown) -> Shown {
        let Kind::Object { fields, .. } = &field.kind else {
            return Err(Irregular);
        };
        for (index, field) in fields.iter().enumerate() {
            self.text.push(if index == 0 { b'{' } else { b',' });
            self.text.extend_from_slice(field.key.as_bytes());
            member(field, self)?;
        }
        self.text.push(b'}');
        Ok(())
    }

    fn list<T>(&mut self, field: &Planned, items: &[T], mut each: impl FnMut(&T, &mut Self) -> Shown) -> Shown {
        if !field.list {
            return Err(Irregular);
        }
        self.text.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text.push(b',');
            }
            each(item, self)?;
        }
        self.text.push(b']');
        Ok(())
    }

    fn null(&mut self, field: &Planned) -> Shown {
        if field.required {
            return Err(Irregular);
        }
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn leaf(&mut self, value: &impl serde::Serialize) -> Shown {
        serde_json::to_writer(&mut self.text, value).map_err(|_| Irregular)
    }

    fn text(&mut self, field: &Planned, text: &str) -> Shown {
        match &field.kind {
            Kind::Text => self.leaf(&text),
            Kind::Enum(words) if words.iter().any(|it| it == text) => self.leaf(&text),
            _ => Err(Irregular),
        }
    }
}

trait Show {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown;

    /// As one of a list.
    fn item(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        self.show(field, order, out)
    }
}

impl<T: Show> Show for Arc<T> {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        T::show(self, field, order, out)
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        match self {
            Some(value) => value.show(field, order, out),
            None => out.null(field),
        }
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        out.list(field, self, |item, out| item.item(field, order, out))
    }
}

impl Show for String {
    fn show(&self, field: &Planned, _: &Order, out: &mut Out) -> Shown {
        out.text(field, self)
    }
}

impl Show for Number {
    /// What Amazon reads back is a float, not the digits that were sent.
    fn show(&self, field: &Planned, _: &Order, out: &mut Out) -> Shown {
        match (&field.kind, self.as_f64()) {
            (Kind::Float, Some(float)) if float.is_finite() => out.leaf(&float),
            _ => Err(Irregular),
        }
    }
}

/// An enum of ours, whose words are those of the schema.
macro_rules! words {
    ($($name:ty),*) => { $(impl Show for $name {
        fn show(&self, field: &Planned, _: &Order, out: &mut Out) -> Shown {
            match &field.kind {
                Kind::Text | Kind::Enum(_) => out.leaf(self),
                _ => Err(Irregular),
            }
        }
    })* };
}

words!(ExecutionState, PackageState, RefundState, ReturnState);

impl Show for LineRef {
    /// Elsewhere in the order a line item is kept as its id.
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        order.line(&self.id).ok_or(Irregular)?.show(field, order, out)
    }
}

impl Show for Value {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        match self {
            Self::Null => out.null(field),
            Self::Array(items) => out.list(field, items, |item, out| item.item(field, order, out)),
            _ if field.list => Err(Irregular),
            value => value.item(field, order, out),
        }
    }

    fn item(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        match (self, &field.kind) {
            (Self::Object(members), Kind::Object { is_line: false, .. }) => {
                out.object(field, |field, out| match members.get(field.name.as_str()) {
                    Some(value) => value.show(field, order, out),
                    None => out.null(field),
                })
            }
            (Self::String(text), _) => out.text(field, text.as_str()),
            (Self::Number(number), _) => number.show(field, order, out),
            _ => Err(Irregular),
        }
    }
}

/// Where the members of a type are.
macro_rules! members {
    ($type:ty: $($name:literal => $member:ident),* $(,)?) => { impl Show for $type {
        fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
            out.object(field, |field, out| match field.name.as_str() {
                $($name => self.$member.show(field, order, out),)*
                _ => out.null(field),
            })
        }
    } };
}

members!(Alias: "aliasType" => alias_type, "aliasId" => alias_id);
members!(Money: "amount" => amount, "currencyCode" => currency_code);
members!(Amount: "value" => value, "unit" => unit);
members!(LineAmount: "amount" => amount, "lineItem" => line_item);
members!(ReturnFor: "orderLineItemAmounts" => order_line_item_amounts);
members!(RefundFor: "orderLineItems" => order_line_items);
members!(RefundTotal: "totalAmount" => total_amount);
members!(PackageFor: "orderLineItems" => order_line_items, "orderLineItemAmounts" => order_line_item_amounts);
members!(Line: "id" => id, "amount" => amount, "aliases" => aliases, "createdAt" => created_at, "product" => product,
    "payments" => payments, "taxes" => taxes, "discounts" => discounts);
members!(ReturnLine: "id" => id, "returnFor" => return_for);
members!(Return: "id" => id, "createdAt" => created_at, "updatedAt" => updated_at, "state" => state, "aliases" => aliases,
    "returnLineItems" => return_line_items);
members!(Refund: "id" => id, "state" => state, "createdAt" => created_at, "updatedAt" => updated_at,
    "refundRequestReason" => refund_request_reason, "refundStatusReason" => refund_status_reason, "aliases" => aliases,
    "refundTotal" => refund_total, "refundFor" => refund_for, "paymentDetails" => payment_details);
members!(TrackerIdentifier: "trackingNumber" => tracking_number, "carrierCode" => carrier_code);
members!(Tracker: "packageTrackerIdentifier" => package_tracker_identifier, "latestMilestone" => latest_milestone,
    "milestones" => milestones);
members!(Package: "id" => id, "state" => state, "reason" => reason, "aliases" => aliases,
    "packageInformationDetailsFor" => package_information_details_for, "packageTracker" => package_tracker);

impl Show for Order {
    fn show(&self, field: &Planned, order: &Order, out: &mut Out) -> Shown {
        out.object(field, |field, out| match field.name.as_str() {
            "id" => self.id.show(field, order, out),
            "metadata" => out.object(field, |field, out| match field.name.as_str() {
                "executionState" => self.execution_state.show(field, order, out),
                "createdAt" => self.created_at.show(field, order, out),
                "updatedAt" => self.updated_at.show(field, order, out),
                _ => out.null(field),
            }),
            "aliases" => self.aliases.show(field, order, out),
            "orderLinks" => self.order_links.show(field, order, out),
            "lineItems" => self.line_items.show(field, order, out),
            "returns" => details(&self.returns, field, order, out),
            "refunds" => details(&self.refunds, field, order, out),
            "packageInformation" => out.object(field, |field, out| match field.name.as_str() {
                "summary" => out.object(field, |field, out| match field.name.as_str() {
                    "state" => summary(order).show(field, order, out),
                    _ => out.null(field),
                }),
                "details" => self.packages.show(field, order, out),
                _ => out.null(field),
            }),
            "payments" => self.payments.show(field, order, out),
            "totalPrice" => self.total_price.show(field, order, out),
            "taxes" => self.taxes.show(field, order, out),
            "discounts" => self.discounts.show(field, order, out),
            _ => out.null(field),
        })
    }
}

fn details<T: Show>(list: &Vec<T>, field: &Planned, order: &Order, out: &mut Out) -> Shown {
    out.object(field, |field, out| match field.name.as_str() {
        "details" => list.show(field, order, out),
        _ => out.null(field),
    })
}
