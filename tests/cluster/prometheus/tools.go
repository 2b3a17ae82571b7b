//go:build tools

// Package tools names the Prometheus that runs in the cluster of the tests.
package tools

import _ "github.com/prometheus/prometheus/cmd/prometheus"
