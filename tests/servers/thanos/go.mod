module abctl.dev/tests/servers/thanos

go 1.26.0

// .ci/go-program builds it in its own module; here stands only which one.
require github.com/thanos-io/thanos v0.42.4
