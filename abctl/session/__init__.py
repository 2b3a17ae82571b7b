"""An experiment in its world: a cluster or a local stack."""
