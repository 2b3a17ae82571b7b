"""Envoy as abctl configures it: a cluster for each variant, called as the variant."""

from abctl.metrics.presets import HERE, Preset, errors

_CLASS = "envoy_response_code_class"


def of_clusters(clusters: str, platform: str, *, drawn: bool) -> Preset:
    """What Envoy counts of its clusters, chosen by matchers; its histogram is in milliseconds."""
    by_class = f"envoy_cluster_upstream_rq_xx{{{clusters},{_CLASS}"
    return Preset(
        requests=f"envoy_cluster_upstream_rq_completed{{{clusters}}}",
        drawn=drawn,
        named={
            "errors": errors(f'{by_class}=~"2|5"}}', f'{by_class}="5"}}'),
            "latency": {
                "quantile": {"histogram": f"envoy_cluster_upstream_rq_time_bucket{{{clusters}}}"}
            },
        },
        latency_unit_seconds=0.001,
        platforms=(platform,),
        remarks={
            "errors": "5xx among answers of 2xx and 5xx, also those that Envoy made",
            "latency": "by Envoy, in whole milliseconds, of every answer whatever its code",
        },
    )


PRESET = of_clusters(f'envoy_cluster_name="$variant",{HERE}', "envoy", drawn=False)
