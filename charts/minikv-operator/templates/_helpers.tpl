{{/* The name of every object: the release's, with the chart's where it does not hold it already. */}}
{{- define "minikv-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 34 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{- define "minikv-operator.selectorLabels" -}}
app.kubernetes.io/name: minikv-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "minikv-operator.labels" -}}
{{ include "minikv-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: minikv
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "minikv-operator.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{/* What a restricted namespace asks of a pod. */}}
{{- define "minikv-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "minikv-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Rules over the watched namespaces, from the one table of the operator's rights. */}}
{{- define "minikv-operator.watchedRules" -}}
{{- $rights := .Files.Get "generated/rights.yaml" | fromYaml -}}
{{- $rules := $rights.watched -}}
{{- if .Values.rights.monitoring -}}
{{- $rules = concat $rules $rights.monitoring -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}

{{- define "minikv-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "minikv-operator.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
