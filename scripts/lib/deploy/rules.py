"""What no schema says: that the parts of one installation fit each other, and keep the promises of docs/kubernetes.md."""

import re
import tomllib

SECRETS = "/var/run/secrets/bwp-sync"
# Words that Kubernetes' own schemas do not list.
WORDS = {
    "protocol": {"TCP", "UDP"},
    "restartPolicy": {"Never"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow"},
}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def faults(documents):
    for document in documents:
        pod = pod_of(document)
        if pod:
            name = f"{document['kind']}/{document['metadata']['name']}"
            for rule in (restricted, quiet, mounted):
                yield from (f"{name}: {fault}" for fault in rule(pod))
    for rule in (spelled, probed, rolled, drained, configured, chosen, named_once):
        yield from rule(documents)


def pod_of(document):
    """Its pod's spec, where it makes one."""
    if document["kind"] == "Pod":
        return document["spec"]
    return document.get("spec", {}).get("template", {}).get("spec") if document["kind"] in ("Deployment", "Job") else None


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def daemon(documents):
    return of_kind(documents, "Deployment")[0]


def restricted(pod):
    """The profile `restricted` of Pod Security, and a root file system that cannot be written."""
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "runs as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if any(pod.get(member) for member in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares namespaces of the host"
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "mounts a folder of the host"
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "may gain privileges"
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "keeps capabilities"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "may write its root file system"


def quiet(pod):
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts a token"
    if pod.get("enableServiceLinks") is not False:
        yield "gets other services' addresses as environment"
    for container in pod["containers"]:
        resources = container.get("resources", {})
        if not (resources.get("requests", {}).get("memory") and resources.get("limits", {}).get("memory")):
            yield "has no memory request or limit"
        if container["command"] != ["bwp-sync"]:
            yield f"runs {container['command']}"


def mounted(pod):
    """Each mount has its volume, each volume its mount."""
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    mounts = [mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])]
    yield from (f"the volume {name} is there {volumes.count(name)} times and mounted {mounts.count(name)} times"
                for name in sorted({*volumes, *mounts}) if (volumes.count(name), mounts.count(name)) != (1, 1))


def spelled(value):
    """Words out of a list, wherever they stand."""
    if isinstance(value, list):
        for part in value:
            yield from spelled(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, str) and part not in WORDS.get(key, {part}):
                yield f"{key} is {part}"
            yield from spelled(part)


def probed(documents):
    container = daemon(documents)["spec"]["template"]["spec"]["containers"][0]
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path:
            yield f"{probe} asks {asked.get('path')}, not {path}"
        if asked.get("port") not in [port["name"] for port in container["ports"]]:
            yield f"{probe} asks a port that is not there"


def rolled(documents):
    spec = daemon(documents)["spec"]
    if spec["strategy"].get("rollingUpdate", {}).get("maxUnavailable") != 0:
        yield "a rollout takes pods away before others are there"
    if "checksum/config" not in spec["template"]["metadata"].get("annotations", {}):
        yield "a change of the configuration does not roll the pods"
    scaled = bool(of_kind(documents, "ScaledObject"))
    if ("replicas" in spec) == scaled:
        yield "replicas are set although KEDA sets them" if scaled else "nobody sets replicas"


def drained(documents):
    number, unit = re.match(r"(\d+)(\w+)", configuration(documents).get("shutdown", {}).get("grace", "12s")).groups()
    period = daemon(documents)["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    if period < int(number) * UNITS[unit] + 5:
        yield f"{period} s until SIGKILL leave no room for shutdown.grace"


def configuration(documents):
    """The configuration file, read as the daemon would."""
    volumes = daemon(documents)["spec"]["template"]["spec"]["volumes"]
    name, = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "config"]
    map, = [map for map in of_kind(documents, "ConfigMap") if map["metadata"]["name"] == name]
    return tomllib.loads(map["data"]["config.toml"])


def configured(documents):
    """The files that the configuration names are mounted, and no others; the port is the one that is published."""
    pod = daemon(documents)["spec"]["template"]["spec"]
    config = configuration(documents)
    container = pod["containers"][0]
    if container["args"] != ["--config", "/etc/bwp-sync/config.toml", "run"]:
        yield f"the daemon is started with {container['args']}"
    secret, = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets"]
    items = {f"{SECRETS}/{item['path']}" for item in secret["items"]}
    named = {value for value in leaves(config) if isinstance(value, str) and value.startswith(SECRETS)}
    if items != named:
        yield f"mounted are {sorted(items)}, the configuration names {sorted(named)}"
    port = int(config["ops"]["listen"].rsplit(":", 1)[1])
    if [{"name": "ops", "containerPort": port, "protocol": "TCP"}] != container["ports"]:
        yield "the daemon listens on another port than the pod says"
    jobs = of_kind(documents, "Job")
    if config["database"]["migrate_on_start"] == bool(jobs):
        yield "the daemon and the Job do not agree who migrates"
    for job in jobs:
        volume, = [volume["secret"] for volume in pod_of(job)["volumes"] if volume["name"] == "secrets"]
        key, = [item["key"] for item in volume["items"]]
        variables = {entry["name"]: entry.get("value") for entry in pod_of(job)["containers"][0]["env"]}
        if variables != {"BWP_SYNC__DATABASE__URL_FILE": f"{SECRETS}/{key}"}:
            yield f"the Job is told {variables}, and gets {key}"
        if volume["secretName"] == secret["secretName"] and key in [item["key"] for item in secret["items"]]:
            yield "the daemon gets the owner's address"


def leaves(value):
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    else:
        yield value


def chosen(documents):
    """Selectors find what they are for."""
    labels = daemon(documents)["spec"]["template"]["metadata"]["labels"]
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        if kind == "ServiceMonitor":
            service, = of_kind(documents, "Service")
            found = matches(spec["selector"], service["metadata"]["labels"])
            if spec["endpoints"][0]["port"] not in [port["name"] for port in service["spec"]["ports"]]:
                yield "the ServiceMonitor scrapes a port that the Service has not"
        elif kind == "NetworkPolicy":
            pods = [pod_labels(other) for other in documents if pod_of(other)]
            found = any(matches(spec["podSelector"], own) for own in pods)
        elif kind in ("Deployment", "PodDisruptionBudget"):
            found = matches(spec["selector"], labels)
        elif kind == "Service":
            found = matches({"matchLabels": spec["selector"]}, labels)
        elif kind == "ScaledObject":
            found = spec["scaleTargetRef"]["name"] == daemon(documents)["metadata"]["name"]
        else:
            continue
        if not found:
            yield f"{kind}/{document['metadata']['name']} finds nothing"
    policies = of_kind(documents, "NetworkPolicy")
    for document in documents:
        if policies and pod_of(document) and not any(matches(policy["spec"]["podSelector"], pod_labels(document)) for policy in policies):
            yield f"no NetworkPolicy is for {document['kind']}/{document['metadata']['name']}"
    for job in of_kind(documents, "Job"):
        if matches(daemon(documents)["spec"]["selector"], pod_labels(job)):
            yield "the Deployment takes the Job's pod for its own"


def pod_labels(document):
    return (document if document["kind"] == "Pod" else document["spec"]["template"])["metadata"]["labels"]


def matches(selector, labels):
    wanted = selector.get("matchLabels", {})
    listed = selector.get("matchExpressions", [])
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"] for rule in listed)


def named_once(documents):
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    yield from (f"{kind}/{name} is there twice" for kind, name in sorted(set(names)) if names.count((kind, name)) > 1)
