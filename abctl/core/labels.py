"""The labels by which a cluster finds what belongs to an experiment."""

EXPERIMENT, VARIANT = "abctl.dev/experiment", "abctl.dev/variant"
# Of what sends requests to the variants, where abctl runs it.
PROXY = {"app.kubernetes.io/component": "proxy"}
