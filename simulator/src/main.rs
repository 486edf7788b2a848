//! The simulator as a program.

use bwp_simulator::{AutoOrders, Environment, Options, OrderSeed, Simulator};
use clap::{Parser, ValueEnum};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A stand-in for the Buy with Prime API, version 2024-11-01.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Where to listen. It asks no token for /admin, so keep it on a loopback address.
    #[arg(long, default_value = "127.0.0.1:8085")]
    listen: SocketAddr,
    /// Which of Amazon's environments to play.
    #[arg(long, value_enum, default_value = "sandbox")]
    environment: Played,
    /// The accepted client id.
    #[arg(long, default_value = "client")]
    client_id: String,
    /// Its secret.
    #[arg(long, default_value = "secret")]
    client_secret: String,
    /// The accepted target id.
    #[arg(long, default_value = "bp-simulated")]
    target_id: String,
    /// Lifetime of a token in seconds.
    #[arg(long, default_value_t = 900)]
    token_seconds: u64,
    /// Milliseconds until a package update shows.
    #[arg(long, default_value_t = 200)]
    settle_ms: u64,
    /// Milliseconds added to every GraphQL answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Unknown orders come into being with so many lines, L-1, L-2 ...
    #[arg(long, value_name = "LINES")]
    auto_orders: Option<usize>,
    /// Quick enough to measure its clients: values are not checked against the schema.
    #[arg(long)]
    fast: bool,
    /// Orders to begin with: a JSON array.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Played {
    Sandbox,
    Production,
}

impl Flags {
    fn options(&self) -> Options {
        Options {
            listen: self.listen,
            environment: match self.environment {
                Played::Sandbox => Environment::Sandbox,
                Played::Production => Environment::Production,
            },
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            target_id: self.target_id.clone(),
            token_lifetime: Duration::from_secs(self.token_seconds),
            settle: Duration::from_millis(self.settle_ms),
            latency: Duration::from_millis(self.latency_ms),
            auto_orders: self.auto_orders.map(|lines| AutoOrders { lines, ..AutoOrders::default() }),
            fast: self.fast,
            ..Options::default()
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let flags = Flags::parse();
    let seeds: Vec<OrderSeed> = match &flags.seed {
        Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
        None => Vec::new(),
    };
    let simulator = Simulator::start(flags.options()).await?;
    let orders = simulator.seed_orders(seeds)?.len();
    tracing::info!(url = simulator.base_url(), orders, "listening");
    interrupted().await;
    simulator.shutdown().await;
    Ok(())
}

async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
