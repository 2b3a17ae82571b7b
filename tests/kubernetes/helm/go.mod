module abctl.dev/tests/kubernetes/helm

go 1.24

// .ci/go-program builds it in its own module; here stands only which one.
require helm.sh/helm/v3 v3.16.4
