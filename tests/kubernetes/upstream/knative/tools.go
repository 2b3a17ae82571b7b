//go:build tools

// Package tools names the programs of upstream that .ci/controllers builds for the tests.
package tools

import _ "knative.dev/serving/cmd/webhook"
