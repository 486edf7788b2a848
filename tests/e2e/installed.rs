//! A start from nothing with `deploy/manifests/bwp-sync.yaml`: the same files, environment and commands as in a cluster, as
//! processes. First the Job as the owner's role, then the Deployment as the daemon's, with as many replicas as it says.

use crate::kubelet::{Kubelet, Secrets, text};
use crate::roles::make_roles;
use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::daemon::{Daemon, free_address};
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::brokers;
use bwp_simulator::{Options, OrderSeed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/manifests/bwp-sync.yaml");
const LOGINS: &str = include_str!("../../deploy/compose/logins.sql");
/// What the pods listen on; each replica here gets an address of its own.
const LISTEN: &str = "0.0.0.0:9464";

/// What docs/kubernetes.md tells to edit, and what leads to this test's servers.
fn edited(service: &Service, group: &str, manifests: &str) -> String {
    let own = service.simulator.options();
    let told = [
        ("brokers = \"kafka:9092\"", format!("brokers = \"{}\"", brokers())),
        ("target_id = \"bp-...\"", format!("target_id = \"{}\"", own.target_id)),
        ("client_id = \"amzn1.application-oa2-client...\"", format!("client_id = \"{}\"", own.client_id)),
        ("group_id = \"bwp-sync\"", format!("group_id = \"{group}\"")),
    ];
    let edited = told.iter().fold(manifests.to_owned(), |edited, (placeholder, value)| {
        assert_eq!(edited.matches(placeholder).count(), 1, "{placeholder} is not there for a person to edit");
        edited.replace(placeholder, value)
    });
    let topics: String = service.topics.named().iter().map(|(key, name)| format!("    {key} = \"{name}\"\n")).collect();
    let more = format!(
        "[kafka.topics]\n{topics}    [targets.default]\n    environment = \"sandbox\"\n    endpoint = \"{}\"\n    token_endpoint = \"{}\"",
        service.simulator.endpoint(),
        service.simulator.token_endpoint()
    );
    edited.replace("[targets.default]", &more)
}

/// The Secret that docs/kubernetes.md tells to make, with logins as it tells to make them; their names are this test's own.
async fn secrets(service: &Service) -> Secrets {
    let pool = service.pool().await;
    make_roles(&pool).await;
    let name = &service.database.name;
    let logins = ["migrate", "daemon"].iter().fold(LOGINS.to_owned(), |logins, login| {
        assert!(logins.contains(&format!("CREATE ROLE bwp_sync_{login} LOGIN")));
        logins.replace(&format!("bwp_sync_{login}"), &format!("{name}_{login}"))
    });
    sqlx::raw_sql(sqlx::AssertSqlSafe(logins)).execute(&pool).await.unwrap();
    let (_, server) = service.database.url.split_once('@').unwrap();
    let keys = [
        ("database-url", format!("postgres://{name}_daemon@{server}")),
        ("migration-database-url", format!("postgres://{name}_migrate@{server}")),
        ("client-secret-default", service.simulator.options().client_secret.clone()),
    ];
    BTreeMap::from([("bwp-sync".to_owned(), keys.map(|(key, value)| (key.to_owned(), value)).into())])
}

fn manifests(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| document.contains("\nkind: "));
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_with_the_manifests() {
    let service = Service::open(2, Options::default()).await;
    service.simulator.seed_order(OrderSeed::new("B-1").alias("EXTERNAL_ID", "1").line("line-1", "L-1", 1)).unwrap();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&service.database.name);
    let group = format!("group-{}", service.database.name);
    let given = std::fs::read_to_string(MANIFESTS).unwrap();
    let manifests = manifests(&edited(&service, &group, &given));
    let kubelet = Kubelet { manifests, secrets: secrets(&service).await, root: root.clone() };

    let job = &kubelet.one("Job")["spec"]["template"]["spec"];
    let migrated = kubelet.command(job, str::to_owned).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");

    let deployment = &kubelet.one("Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let mut replicas = Vec::new();
    for _ in 0..deployment["replicas"].as_u64().unwrap() {
        let ops = free_address();
        assert!(given.contains(&format!("listen = \"{LISTEN}\"")));
        // Started before the next one's file takes this one's place.
        let mut daemon = Daemon::start(kubelet.command(pod, |given| given.replace(LISTEN, &ops)), ops);
        daemon.wait_ready().await;
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let answer = daemon.page(text(&container[probe]["httpGet"]["path"])).await;
            assert_eq!(answer.unwrap(), "ok\n", "{probe}");
        }
        replicas.push(daemon);
    }
    assert!(replicas.len() > 1);

    let data = json!({"order": {"id": "1"}, "return": {"id": "RMA-1"}, "state": "CREATED",
        "lines": [{"line": {"id": "L-1"}, "quantity": 1}]});
    service.topics.publish(&Event::new(Kind::Return, "r-1", data), Envelope::Structured).await;
    service.drained(1, PATIENCE).await;
    assert_eq!(service.outcomes(1).await["r-1"].values().next().unwrap()["status"], "DELIVERED");
    service.assert_clean().await;

    let doctor = kubelet.command(pod, str::to_owned).get_args().map(|argument| argument.to_owned()).collect::<Vec<_>>();
    assert_eq!(doctor.last().unwrap(), "run");
    let doctor =
        std::process::Command::new(env!("CARGO_BIN_EXE_bwp-sync")).args(&doctor[..doctor.len() - 1]).arg("doctor").output();
    let doctor = doctor.unwrap();
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));

    let period = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
    for daemon in &mut replicas {
        assert_eq!(daemon.terminate(period).await.code(), Some(0), "{}", daemon.log());
    }
    std::fs::remove_dir_all(&root).unwrap();
}
