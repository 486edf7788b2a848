{{/* One rule out: `ports` and, where given, `to`. */}}
{{- define "bwp-sync.egress" -}}
- ports:
    {{- range $port := .rule.ports }}
    {{- range $protocol := $.protocols }}
    - {port: {{ $port }}, protocol: {{ $protocol }}}
    {{- end }}
    {{- end }}
  {{- with .rule.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
