"""The chart and helm: rendering, linting, and the files of values."""

import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy/helm/bwp-sync"
HELM = ROOT / "target/tools/helm"
# libyaml's is many times faster; PyYAML's packages have it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RELEASE, NAMESPACE = "bwp-sync", "orders"


class Refused(Exception):
    """Helm, or the chart's schema, refused the values."""


def values_files():
    return sorted((CHART / "ci").glob("*.yaml"))


def helm(*arguments):
    """Runs helm without touching the user's own settings of it."""
    home = ROOT / "target/tools/helm-home"
    environment = {**os.environ, "HELM_CACHE_HOME": str(home), "HELM_CONFIG_HOME": str(home), "HELM_DATA_HOME": str(home)}
    environment.pop("KUBECONFIG", None)
    run = subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, env=environment)
    if run.returncode != 0:
        said = (run.stdout + run.stderr).strip().splitlines()
        raise Refused("\n".join(line for line in said if not line.startswith("level=INFO")))
    return run.stdout


def lint(values, chart=CHART):
    helm("lint", "--strict", "--namespace", NAMESPACE, chart, *files(values))


def render(values, chart=CHART):
    """The manifests as helm prints them."""
    return helm("template", RELEASE, chart, "--namespace", NAMESPACE, *files(values))


def documents(text):
    return [document for document in yaml.load_all(text, LOADER) if document]


def files(values):
    return [argument for path in values for argument in ("--values", path)]
