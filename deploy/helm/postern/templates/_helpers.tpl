{{- define "postern.name" -}}
{{ printf "%s-postern" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "postern.labels" -}}
app.kubernetes.io/name: postern
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "postern.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The container; takes a dict of root (the context), components and resources. */}}
{{- define "postern.container" -}}
name: postern
image: {{ include "postern.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [serve, --config, /etc/postern/postern.yaml]
env:
  - {name: POSTERN_COMPONENTS, value: {{ join "," .components | quote }}}
  - {name: POSTERN_DATA_DIR, value: /var/lib/postern}
  - {name: POSTERN_LISTEN_SOCKET, value: /run/postern/postern.sock}
  - {name: POSTERN_KEYS_MASTER_FILE, value: /etc/postern/secret/master.json}
  - {name: POSTERN_KEYS_HASH_FILE, value: /etc/postern/secret/hash.json}
  - {name: POSTERN_HTTP_KEY_FILE, value: /etc/postern/secret/http.key}
startupProbe:
  exec: {command: [/postern, health, --address, "unix:/run/postern/postern.sock", --timeout, 2s]}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 60
readinessProbe:
  exec: {command: [/postern, health, --address, "unix:/run/postern/postern.sock", --timeout, 2s]}
  periodSeconds: 5
  timeoutSeconds: 3
resources: {{- toYaml .resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: postern-config, mountPath: /etc/postern/postern.yaml, subPath: postern.yaml, readOnly: true}
  - {name: postern-secret, mountPath: /etc/postern/secret, readOnly: true}
  - {name: postern-data, mountPath: /var/lib/postern}
  - {name: postern-socket, mountPath: /run/postern}
{{- end }}

{{/* The sidecar of a login service, for its initContainers. */}}
{{- define "postern.sidecar" -}}
- restartPolicy: Always
  {{- include "postern.container" (dict "root" . "components" .Values.sidecar.components "resources" .Values.sidecar.resources) | nindent 2 }}
{{- end }}

{{/* What the container mounts. The login service mounts postern-socket, too. */}}
{{- define "postern.volumes" -}}
- name: postern-config
  configMap: {name: {{ include "postern.name" . }}}
- name: postern-secret
  secret: {secretName: {{ .Values.existingSecret | quote }}, defaultMode: 0400}
- name: postern-data
  emptyDir: {}
- name: postern-socket
  emptyDir: {medium: Memory}
{{- end }}

{{/* Of the pod: the login service and the sidecar are one user. */}}
{{- define "postern.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
