//! A client for the tests: knows the API's headers and nothing of its meaning.

use bwp_simulator::{Options, OrderSeed, Simulator};
use serde_json::{Value, json};
use std::sync::Once;
use std::time::{Duration, Instant};

pub const ORDER: &str = "322-ABC1-AAAAAA";

/// Selects all that the tests look at.
pub const SELECTION: &str = "id metadata { executionState } aliases { aliasType aliasId } \
    orderLinks { destinationType url } lineItems { id amount { value unit } aliases { aliasType aliasId } } \
    totalPrice { value { amount currencyCode } } taxes { summary { collectableTaxAmount { amount } } } \
    discounts { summary { amount { amount } displayString } } payments { details { id state amount { amount } } } \
    returns { details { id state aliases { aliasType aliasId } returnLineItems { returnFor { \
        orderLineItemAmounts { amount { value } lineItem { id amount { value } } } } } } } \
    refunds { details { id state refundRequestReason refundStatusReason aliases { aliasType aliasId } \
        refundTotal { totalAmount { amount currencyCode } } paymentDetails { id amount { amount } } \
        refundFor { orderLineItems { lineItem { id } amount { value } } } } } \
    packageInformation { summary { state } details { id state reason aliases { aliasId } \
        packageInformationDetailsFor { orderLineItems { lineItem { id } amount { value } } } \
        packageTracker { packageTrackerIdentifier { trackingNumber carrierCode } \
            latestMilestone { status { code } } } } }";

pub struct Api {
    pub simulator: Simulator,
    pub http: reqwest::Client,
    pub token: String,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The error's type and code.
    pub fn error(&self) -> (String, Option<String>) {
        let json = self.json();
        let it = &json["errors"][0]["extensions"]["classification"];
        let kind = it["type"].as_str();
        let kind = kind.unwrap_or_else(|| panic!("no error in {json}")).to_owned();
        (kind, it["errorCode"].as_str().map(str::to_owned))
    }

    /// The order of an accepted mutation.
    pub fn order(&self) -> Value {
        let mut json = self.json();
        assert!(json.get("errors").is_none(), "refused: {json}");
        let data = json["data"].as_object_mut().unwrap();
        let (_, field) = data.iter_mut().next().unwrap();
        match field.get_mut("order") {
            Some(order) => order.take(),
            None => field.take(),
        }
    }
}

pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::new()
}

impl Api {
    pub async fn start(options: Options) -> Self {
        let simulator = Simulator::start(options).await.unwrap();
        let mut api = Self { simulator, http: client(), token: String::new() };
        let answer = api.ask_token("client", "secret").await;
        api.token = answer.json()["access_token"].as_str().unwrap().to_owned();
        api
    }

    /// With package updates that show at once, and an order of two lines and a package.
    pub async fn with_order() -> Self {
        Self::with(order()).await
    }

    pub async fn with(seed: OrderSeed) -> Self {
        let api = Self::start(Options { settle: Duration::ZERO, ..Options::default() }).await;
        api.simulator.seed_order(seed).unwrap();
        api
    }

    pub async fn ask_token(&self, id: &str, secret: &str) -> Answer {
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = self
            .http
            .post(self.simulator.token_endpoint())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        send(request).await.unwrap()
    }

    pub fn request(&self, query: &str, variables: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(self.simulator.endpoint())
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("x-api-target-id", "bp-simulated")
            .header("x-api-version", "2024-11-01")
            .body(json!({"query": query, "variables": variables}).to_string())
    }

    pub async fn graphql(&self, query: &str, variables: &Value) -> Answer {
        send(self.request(query, variables)).await.unwrap()
    }

    pub fn update_request(&self, input: &Value) -> reqwest::RequestBuilder {
        let query = format!(
            "mutation updateOrder($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderInput!) \
             {{ updateOrder(orderIdentifier: $orderIdentifier, input: $input) {{ order {{ {SELECTION} }} }} }}"
        );
        self.request(&query, &json!({"orderIdentifier": {"orderId": ORDER}, "input": input}))
    }

    /// `updateOrder` of the one order.
    pub async fn update(&self, input: Value) -> Answer {
        send(self.update_request(&input)).await.unwrap()
    }

    /// `updateOrder`, where the answer may be missing.
    pub async fn try_update(&self, input: Value) -> Result<Answer, reqwest::Error> {
        send(self.update_request(&input)).await
    }

    /// `updateOrderPackageInformation` of the one order.
    pub async fn packages(&self, details: Value) -> Answer {
        let query = format!(
            "mutation u($orderIdentifier: OrderIdentifierInput!, $input: UpdateOrderPackageInformationInput!) \
             {{ updateOrderPackageInformation(orderIdentifier: $orderIdentifier, input: $input) {{ order {{ {SELECTION} }} }} }}"
        );
        let input = json!({"packageInformation": {"details": details}});
        self.graphql(&query, &json!({"orderIdentifier": {"orderId": ORDER}, "input": input})).await
    }

    /// The `order` query.
    pub async fn read(&self) -> Answer {
        self.read_as(json!({"orderId": ORDER})).await
    }

    pub async fn read_as(&self, identifier: Value) -> Answer {
        let query = format!(
            "query order($orderIdentifier: OrderIdentifierInput!) \
             {{ order(orderIdentifier: $orderIdentifier) {{ {SELECTION} }} }}"
        );
        self.graphql(&query, &json!({"orderIdentifier": identifier})).await
    }

    /// Reads until the order is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let order = self.read().await.order();
            if wanted(&order) {
                return order;
            }
            assert!(Instant::now() < deadline, "still {order}");
            tokio::task::yield_now().await;
        }
    }
}

pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let header = response.headers().get("retry-after");
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: header.map(|it| it.to_str().unwrap().to_owned()),
        text: response.text().await?,
    })
}

/// Lines `line-1` (alias `L-1`, 2 pieces) and `line-2` (`L-2`, 1 piece), all of it in `package-1`.
pub fn order() -> OrderSeed {
    OrderSeed::new(ORDER).alias("EXTERNAL_ID", "1001").line("line-1", "L-1", 2).line("line-2", "L-2", 1).package("package-1")
}

pub fn alias(alias_type: &str, id: &str) -> Value {
    json!({"aliasType": alias_type, "aliasId": id})
}

pub fn money(amount: &str) -> Value {
    let amount: serde_json::Number = amount.parse().unwrap();
    json!({"amount": amount, "currencyCode": "USD"})
}

/// A refund entry.
pub fn refund(id: &str, state: &str, total: &str) -> Value {
    json!({
        "aliases": [alias("EXTERNAL_REFUND_ID", id)],
        "state": state,
        "refundTotal": {"totalAmount": money(total)},
    })
}

pub fn refunds(entries: &[Value]) -> Value {
    json!({"refunds": {"details": entries}})
}

pub fn returns(entries: &[Value]) -> Value {
    json!({"returns": {"details": entries}})
}

/// A return entry that creates.
pub fn new_return(id: &str, quantity: u64) -> Value {
    json!({
        "aliases": [alias("EXTERNAL-RETURN-ID", id)],
        "state": "CREATED",
        "returnLineItems": [{"returnFor": {"orderLineItemAmounts": [{
            "amount": {"value": quantity},
            "lineItemId": {"alias": alias("EXTERNAL_ITEM_ID", "L-1")},
        }]}}],
    })
}

/// A refusal with a code.
pub fn validation(code: &str) -> (String, Option<String>) {
    ("ValidationError".to_owned(), Some(code.to_owned()))
}
