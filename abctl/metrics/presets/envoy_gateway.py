"""Envoy Gateway: the clusters that it makes of an HTTPRoute's backends, by their place in it.

Each rule has clusters of its own, so those of the rule that splits have only what was drawn.
"""

from abctl.metrics.presets.envoy import of_clusters

PRESET = of_clusters('envoy_cluster_name=~"$upstream"', "gateway", drawn=True)
