module abctl.dev/tests/servers/mimir

go 1.26.0

// .ci/go-program builds it in its own module; here stands only which one.
require github.com/grafana/mimir v1.3.1-0.20260423142704-aced80d74930
