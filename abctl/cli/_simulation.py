"""The answer of `abctl simulate`, for people and for machines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from abctl.core import figures

if TYPE_CHECKING:
    from abctl.simulate import Summary, VariantSummary


def document(summary: "Summary") -> dict[str, Any]:
    """Everything, unrounded; latencies in milliseconds."""
    return {
        "variants": [_row(each) for each in summary.variants],
        "requests": summary.requests,
        "errors": summary.errors,
        "seconds": summary.seconds,
        "ratePerSecond": summary.rate_per_second,
        "users": summary.users,
        "movedUsers": summary.moved_users,
        "moves": [
            {"from": before, "to": after, "count": count}
            for (before, after), count in summary.moves.items()
        ],
        "syntheticEffects": [
            {"variant": each.variant, "outcome": each.outcome, "size": each.size}
            for each in summary.effects
        ],
        "syntheticOutcomes": list(summary.synthetic_outcomes),
        "interrupted": summary.interrupted,
    }


def _row(each: "VariantSummary") -> dict[str, Any]:
    latency = each.latency_ms
    return {
        "variant": each.variant,
        "requests": each.requests,
        "errors": dict(each.errors),
        "said": dict(each.said),
        "latencyMs": latency
        and {name: getattr(latency, name) for name in ("p50", "p95", "p99", "max", "mean")},
        "users": each.users,
        "feedbackSent": each.feedback_sent,
        "feedbackLost": each.feedback_lost,
        "feedbackMadeUp": each.made_up,
    }


def table(summary: "Summary") -> object:
    """What the client saw of each variant, and remarks below."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from abctl.report import layout  # noqa: PLC0415
    from abctl.report.prose import prose  # noqa: PLC0415

    caption = "as the client saw it (latency: with the way there and back):"
    rows = [
        layout.Row({"VARIANT": each.variant, **_seen(each)}, [_told(each)])
        for each in summary.variants
    ]
    remarks = (Text(prose(each)) for each in _remarks(summary))
    return Group(caption, layout.table(rows), "", *remarks)


def _seen(each: "VariantSummary") -> dict[str, str]:
    latency = each.latency_ms

    def shown(milliseconds: float) -> str:
        return figures.value(milliseconds / 1000, "seconds")

    return {
        "REQUESTS": f"{each.requests:,}",
        "USERS": f"{each.users:,}",
        "LATENCY MEAN": shown(latency.mean) if latency else "-",
        "P50": shown(latency.p50) if latency else "-",
        "P95": shown(latency.p95) if latency else "-",
        "P99": shown(latency.p99) if latency else "-",
        "MAX": shown(latency.max) if latency else "-",
    }


def _told(each: "VariantSummary") -> str:
    errors = ", ".join(f"{what} {count:,}" for what, count in each.errors.items()) or "none"
    lost = f", {each.feedback_lost:,} lost" if each.feedback_lost else ""
    return f"errors: {errors}; feedback: {each.feedback_sent:,}{lost}"


def _remarks(summary: "Summary") -> Iterator[str]:
    yield (
        f"{summary.requests:,} requests in {summary.seconds:.1f} s "
        f"({summary.rate_per_second:,.0f}/s) from {summary.users:,} users, "
        f"{summary.moved_users:,} of them saw more than one variant"
    )
    if summary.moves:
        yield "moves: " + ", ".join(
            f"{before} to {after} {count:,}" for (before, after), count in summary.moves.items()
        )
    for each in summary.variants:
        for what, words in each.said.items():
            yield f"{each.variant} answered {what} {each.errors[what]:,} times, first: {words}"
    for effect in summary.effects:
        touched = next(v.made_up for v in summary.variants if v.variant == effect.variant)
        yield (
            f"SYNTHETIC effect of {effect.size:+g} on {effect.outcome} of {effect.variant} "
            f"({touched:,} feedback values made up): not what the model did"
        )
    if summary.synthetic_outcomes:
        yield f"SYNTHETIC outcomes: {', '.join(summary.synthetic_outcomes)}"
