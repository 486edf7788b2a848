"""`make deploy-check`: everything under deploy/ that can be judged without a cluster. Run by scripts/deploy-check."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import breakages
import charts
import rules
import schemas
from charts import CHART, ROOT, Refused

MANIFESTS = ROOT / "deploy/manifests/bwp-sync.yaml"
COMPOSE = ROOT / "deploy/compose.yaml"
PROGRAM = ROOT / "target/debug/bwp-sync"
HEAD = """\
# bwp-sync for Kubernetes without Helm. Written by `UPDATE_DOCS=1 make deploy-check` from the chart; see docs/kubernetes.md.
# First set the brokers and the target in the ConfigMap, and the image; make the Secret; then apply.
"""


def chart_faults(chart=CHART):
    """What is wrong with the chart, for all values that it is tried with."""
    for values in sorted(charts.values_files(), key=lambda values: -values.stat().st_size):
        try:
            documents = charts.documents(charts.render([values], chart))
        except (Refused, yaml.YAMLError) as error:
            yield f"{values.name}: {error}"
            continue
        try:
            yield from (f"{values.name}: {fault}" for fault in rules.faults(documents))
            yield from (f"{values.name}: {fault}" for document in documents for fault in schemas.faults(document))
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            yield f"{values.name}: a part that others need is not there, or is not as they expect: {error!r}"


def lint_faults():
    for values in charts.values_files():
        try:
            charts.lint([values])
        except Refused as error:
            yield f"{values.name}: {error}"


def refusal_faults():
    """Wrong values are refused, each with the words that name what is wrong."""
    for case in yaml.safe_load_all((ROOT / "scripts/lib/deploy/refused.yaml").read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(case["values"], file)
            file.flush()
            try:
                charts.render([CHART / "ci/minimal.yaml", file.name])
                yield f"not refused: {case['values']}"
            except Refused as error:
                if case["says"] not in str(error):
                    yield f"{case['values']} is refused with other words than {case['says']!r}: {error}"


def configuration_faults():
    """The program itself takes each rendered configuration file; secrets are there as files of a folder of this check."""
    for values in charts.values_files():
        documents = charts.documents(charts.render([values]))
        pod = rules.daemon(documents)["spec"]["template"]["spec"]
        config = next(map for map in rules.of_kind(documents, "ConfigMap") if "config.toml" in map["data"])["data"]["config.toml"]
        with tempfile.TemporaryDirectory() as folder:
            for item in next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets")["items"]:
                (Path(folder) / item["path"]).write_text("postgres://bwp_sync@postgres/bwp_sync")
            # Certificates are not looked at by librdkafka until a client is made; the files need not be there.
            path = Path(folder) / "config.toml"
            path.write_text(config.replace(rules.SECRETS, folder))
            yield from (f"{values.name}: {fault}" for fault in refused_by_program({}, "--config", path))
    daemon = yaml.safe_load(COMPOSE.read_text())["services"]["bwp-sync"]
    yield from (f"{COMPOSE.name}: {fault}" for fault in refused_by_program(daemon["environment"]))


def refused_by_program(environment, *arguments):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BWP_SYNC__")}
    run = subprocess.run([PROGRAM, *arguments, "check"], capture_output=True, text=True, env={**inherited, **environment})
    if run.returncode != 0:
        yield f"the program refuses the configuration: {run.stdout}{run.stderr}"


def manifest_faults():
    rendered = charts.render([CHART / "ci/plain.yaml"])
    text = HEAD + "".join(line.rstrip() + "\n" for line in rendered.splitlines())
    if os.environ.get("UPDATE_DOCS"):
        MANIFESTS.parent.mkdir(exist_ok=True)
        MANIFESTS.write_text(text)
    if not MANIFESTS.exists() or MANIFESTS.read_text() != text:
        yield f"{MANIFESTS.relative_to(ROOT)} is not what the chart makes now: UPDATE_DOCS=1 make deploy-check"
    if "helm.sh/" in text:
        yield "the plain manifests speak of Helm"


def compose_faults():
    document = yaml.safe_load(COMPOSE.read_text())
    yield from schemas.compose_faults(document)
    for name, service in document["services"].items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                if not (COMPOSE.parent / source).exists():
                    yield f"{name} mounts {source}, which is not there"
            elif source not in document.get("volumes", {}):
                yield f"{name} mounts the volume {source}, which is not named"
        for other in service.get("depends_on", {}):
            if other not in document["services"]:
                yield f"{name} waits for {other}, which is not there"
    broken = {**document, "services": {"one": {"imagge": "x"}}}
    if not list(schemas.compose_faults(broken)):
        yield "the schema of compose files takes anything"


CHECKS = [
    ("helm lint, for each file of values", lint_faults),
    ("manifests against the schemas, and each other", chart_faults),
    ("wrong values are refused", refusal_faults),
    ("deploy/manifests is up to date", manifest_faults),
    ("a broken chart is seen", lambda: breakages.unseen(chart_faults)),
    ("compose.yaml against its schema", compose_faults),
    ("the program takes the configuration", configuration_faults),
]


def main():
    failed = 0
    for name, check in CHECKS:
        found = list(check())
        failed += bool(found)
        print(f"{'FAIL' if found else 'ok  '}  {name}")
        for fault in found:
            print("      " + fault.replace("\n", "\n      "))
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


main()
