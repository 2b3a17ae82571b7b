"""The embedded stack: MLServers, Envoy and Prometheus as plain processes of this machine."""
