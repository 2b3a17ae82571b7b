module abctl.dev/tests/kubernetes/upstream/envoy-gateway

go 1.26.6

// .ci/controllers builds it in its own module; here stands only which one.
require github.com/envoyproxy/gateway v1.9.0
