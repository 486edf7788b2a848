"""The chart, broken on purpose: each of these must be found, else the check is worth nothing."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import charts

# File, what stands there, what is put in its place.
BREAKAGES = [
    ("deployment.yaml", "path: /livez, port: ops", "path: /readyz, port: ops"),
    ("deployment.yaml", "{path: /readyz, port: ops}", "{path: /readyz, port: http}"),
    ("deployment.yaml", "maxUnavailable: 0", "maxUnavailable: 1"),
    ("deployment.yaml", "checksum/config", "checksum/other"),
    ("deployment.yaml", "terminationGracePeriodSeconds: {{ include \"bwp-sync.terminationGracePeriodSeconds\" . }}", "terminationGracePeriodSeconds: 12"),
    ("deployment.yaml", "automountServiceAccountToken: false", ""),
    ("deployment.yaml", "args: [--config, /etc/bwp-sync/config.toml, run]", "args: [run]"),
    ("deployment.yaml", "revisionHistoryLimit", "revisionHistory"),
    ("deployment.yaml", "{{- if not .Values.keda.enabled }}", "{{- if true }}"),
    ("_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    ("_helpers.tpl", "runAsNonRoot: true", ""),
    ("_helpers.tpl", "capabilities: {drop: [ALL]}", "capabilities: {drop: [NET_RAW]}"),
    ("_helpers.tpl", "seccompProfile", "seccomp"),
    ("_config.tpl", "(values .Values.secrets.kafkaProperties)", "list"),
    ("_config.tpl", "(not .Values.migration.enabled)", ".Values.migration.enabled"),
    ("_config.tpl", "%s:%d", "%s:1%d"),
    ("_pod.tpl", "name: {{ include \"bwp-sync.fullname\" . }}", "name: other"),
    ("_pod.tpl", "secretName: {{ .Values.secrets.existingSecret }}", "name: {{ .Values.secrets.existingSecret }}"),
    ("_pod.tpl", "- {name: secrets, mountPath", "- {name: secret, mountPath"),
    ("_network.tpl", "protocol: {{ $protocol }}", "protocol: {{ $protocol | lower }}"),
    ("migration.yaml", "{key: {{ .Values.migration.databaseUrl }}", "{key: {{ .Values.secrets.databaseUrl }}"),
    ("migration.yaml", "app.kubernetes.io/component: migration", "app.kubernetes.io/component: daemon"),
    ("migration.yaml", "BWP_SYNC__DATABASE__URL_FILE", "BWP_SYNC__DATABASE__URL"),
    ("networkpolicy.yaml", "values: [daemon, doctor]", "values: [daemon]"),
    ("poddisruptionbudget.yaml", "app.kubernetes.io/component: daemon", "app.kubernetes.io/component: demon"),
    ("prometheusrule.yaml", "files/alerts.yaml", "files/alert.yaml"),
    ("scaledobject.yaml", "maxReplicaCount", "maxReplicas"),
    ("servicemonitor.yaml", "path: /metrics", "path: [/metrics]"),
    ("servicemonitor.yaml", "- port: ops", "- port: metrics"),
    ("service.yaml", "app.kubernetes.io/component: daemon\n  ports", "app.kubernetes.io/component: doctor\n  ports"),
    ("tests/doctor.yaml", "restartPolicy: Never", "restartPolicy: never"),
]


def unseen(look):
    """Those that `look`, which takes a chart and says what is wrong, does not see."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        yield from filter(None, workers.map(lambda breakage: blindness(look, *breakage), BREAKAGES))


def blindness(look, file, old, new):
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "bwp-sync"
        shutil.copytree(charts.CHART, chart)
        path = chart / "templates" / file
        sound = path.read_text()
        if old not in sound:
            return f"{file} has no {old!r} any more: break it elsewhere"
        path.write_text(sound.replace(old, new))
        seen = any(True for _ in look(chart))
        return None if seen else f"{file}: {old!r} may become {new!r}, and nobody sees it"
