"""Manifests against the schemas of what will read them: Kubernetes' own kinds, strictly, and custom ones against their CRDs."""

import functools
import json

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

from charts import ROOT, documents

CRDS = ROOT / "target/tools/crds"
COMPOSE = CRDS / "compose-spec.json"
# The oldest that Chart.yaml admits, and the newest that is known.
VERSIONS = ("1.27", kubernetes_validate.latest_version())

# The package reads megabytes of definitions for each manifest.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


def faults(document):
    name = f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"
    if "." in document["apiVersion"].split("/")[0] and not document["apiVersion"].split("/")[0].endswith(".k8s.io"):
        yield from (f"{name}: {fault}" for fault in custom_faults(document))
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            where = ".".join(str(part) for part in getattr(error, "absolute_path", []))
            yield f"{name}: Kubernetes {version}: {where}: {error.message[:300]}"


def custom_faults(document):
    schema = custom_schemas().get((document["apiVersion"], document["kind"]))
    if schema is None:
        yield f"no CRD is known for {document['apiVersion']} {document['kind']}"
        return
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        yield f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}"


@functools.cache
def custom_schemas():
    schemas = {}
    for path in CRDS.glob("*.yaml"):
        spec = documents(path.read_text())[0]["spec"]
        for version in spec["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
            schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def closed(schema):
    """The same, refusing members that it does not name: an API server drops them without a word."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if named and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    return result


def compose_faults(document):
    schema = json.loads(COMPOSE.read_text())
    for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document):
        yield f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}"
