{{/* What the daemon and the test have in common: configuration and secrets, in the places that the configuration names. */}}
{{- define "bwp-sync.volumes" -}}
- name: config
  configMap:
    name: {{ include "bwp-sync.fullname" . }}
- name: secrets
  secret:
    secretName: {{ .Values.secrets.existingSecret }}
    defaultMode: 0440
    items:
      {{- range include "bwp-sync.secretKeys" . | fromJsonArray }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "bwp-sync.volumeMounts" -}}
- {name: config, mountPath: /etc/bwp-sync, readOnly: true}
- {name: secrets, mountPath: {{ include "bwp-sync.secretsPath" . }}, readOnly: true}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "bwp-sync.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
