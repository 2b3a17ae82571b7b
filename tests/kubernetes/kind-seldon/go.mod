module abctl.dev/tests/kubernetes/kind-seldon

go 1.24

// .ci/go-program builds it in its own module; here stands only which one.
require sigs.k8s.io/kind v0.17.0
