#!/usr/bin/env bash
# Looks at what deployments are made of: alert rules with promtool (Debian's, installed where it is missing), the chart with helm (a
# pinned Go tool of tools/helm), the unit with systemd-analyze where the machine has it.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/ensure.sh promtool prometheus prometheus "The alert rules are checked with promtool" prometheus.service
promtool check rules deploy/prometheus/alerts.yaml
(cd deploy/prometheus && promtool test rules alerts.test.yaml)

helm=("${GO:-go}" tool -modfile=tools/helm/go.mod helm)
"${helm[@]}" lint --strict deploy/helm/postern
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"${helm[@]}" template sample deploy/helm/postern > "$out/chart.yaml"
# A login service's chart that includes the sidecar, as docs/deploying.md says.
mkdir -p "$out/login/templates" "$out/login/charts"
cp -r deploy/helm/postern "$out/login/charts/"
cat > "$out/login/Chart.yaml" <<'YAML'
apiVersion: v2
name: login
version: 0.1.0
dependencies: [{name: postern, version: 0.1.0}]
YAML
cat > "$out/login/templates/deployment.yaml" <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: login}
spec:
  selector: {matchLabels: {app: login}}
  template:
    metadata: {labels: {app: login}}
    spec:
      securityContext: {{- include "postern.podSecurityContext" .Subcharts.postern | nindent 8 }}
      initContainers: {{- include "postern.sidecar" .Subcharts.postern | nindent 8 }}
      containers:
        - name: login
          image: login
          volumeMounts: [{name: postern-socket, mountPath: /run/postern}]
      volumes: {{- include "postern.volumes" .Subcharts.postern | nindent 8 }}
YAML
"${helm[@]}" template sample "$out/login" > "$out/login.yaml"
"${GO:-go}" run -C tools/helm ./manifests "$PWD"/deploy/kubernetes/*.yaml "$out/chart.yaml" "$out/login.yaml"
echo "=== the unit"
if command -v systemd-analyze >/dev/null 2>&1; then
	# The program is not where the unit has it on this machine: another one stands in.
	sed 's#/usr/local/bin/postern#/bin/true#' deploy/systemd/postern.service > "$out/postern.service"
	systemd-analyze verify --man=no "$out/postern.service"
	systemd-analyze security --offline=true --threshold=20 --no-pager "$out/postern.service" | tail -n 1
else
	echo "no systemd here: the unit was not verified"
fi
