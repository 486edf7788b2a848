{{/* A map as TOML. Takes `path`, the names that lead to it, and `map`. JSON's strings, numbers and lists are TOML's, too. */}}
{{- define "bwp-sync.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .map }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "bwp-sync.tomlKey" $key }} = {{ $value | toJson }}
{{- end }}
{{- end }}
{{- range $key, $value := .map }}
{{- if kindIs "map" $value }}
{{- $inner := append $path (include "bwp-sync.tomlKey" $key) }}

[{{ join "." $inner }}]
{{- include "bwp-sync.toml" (dict "path" $inner "map" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "bwp-sync.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{- . -}}{{- else -}}{{- . | toJson -}}{{- end -}}
{{- end -}}

{{- define "bwp-sync.secretsPath" -}}/var/run/secrets/bwp-sync{{- end -}}

{{/* The configuration file: what was given, and what the chart itself decides: the port, who migrates, where the secrets are. */}}
{{- define "bwp-sync.configFile" -}}
{{- $folder := include "bwp-sync.secretsPath" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "ops" (dict "listen" (printf "%s:%d" .Values.ops.address (.Values.ops.port | int))) -}}
{{- $database := merge (dict "url_file" (printf "%s/%s" $folder .Values.secrets.databaseUrl) "migrate_on_start" (not .Values.migration.enabled)) (default dict $config.database) -}}
{{- $_ := set $config "database" $database -}}
{{- $properties := default dict $config.kafka.properties -}}
{{- range $property, $key := .Values.secrets.kafkaProperties -}}
{{- $_ := set $properties (printf "%s_file" $property) (printf "%s/%s" $folder $key) -}}
{{- end -}}
{{- $_ := set $config.kafka "properties" $properties -}}
{{- range $name, $target := $config.targets -}}
{{- $_ := set $target "client_secret_file" (printf "%s/%s" $folder (include "bwp-sync.clientSecretKey" (dict "name" $name "secrets" $.Values.secrets))) -}}
{{- $headers := default dict $target.headers -}}
{{- range $header, $key := get $.Values.secrets.headers $name | default dict -}}
{{- $_ := set $headers (printf "%s_file" $header) (printf "%s/%s" $folder $key) -}}
{{- end -}}
{{- if $headers -}}{{- $_ := set $target "headers" $headers -}}{{- end -}}
{{- end -}}
{{- include "bwp-sync.toml" (dict "path" list "map" $config) | trim -}}
{{- end -}}

{{- define "bwp-sync.clientSecretKey" -}}
{{- get .secrets.clientSecrets .name | default (printf "client-secret-%s" .name) -}}
{{- end -}}

{{/* The keys of the Secret that the daemon uses, each once; the owner's address is not among them. */}}
{{- define "bwp-sync.secretKeys" -}}
{{- $keys := list .Values.secrets.databaseUrl -}}
{{- range $name, $target := .Values.config.targets -}}
{{- $keys = append $keys (include "bwp-sync.clientSecretKey" (dict "name" $name "secrets" $.Values.secrets)) -}}
{{- end -}}
{{- $keys = concat $keys (values .Values.secrets.kafkaProperties) -}}
{{- range $name, $headers := .Values.secrets.headers -}}
{{- if not (hasKey $.Values.config.targets $name) -}}
{{- fail (printf "secrets.headers names the target %s, which is not in config.targets" $name) -}}
{{- end -}}
{{- $keys = concat $keys (values $headers) -}}
{{- end -}}
{{- range $name, $key := .Values.secrets.clientSecrets -}}
{{- if not (hasKey $.Values.config.targets $name) -}}
{{- fail (printf "secrets.clientSecrets names the target %s, which is not in config.targets" $name) -}}
{{- end -}}
{{- end -}}
{{- $keys | uniq | sortAlpha | toJson -}}
{{- end -}}
