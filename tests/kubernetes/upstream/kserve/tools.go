//go:build tools

// Package tools names the program of upstream that .ci/controllers builds for the tests.
package tools

import _ "github.com/kserve/kserve/cmd/manager"
