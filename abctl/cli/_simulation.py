"""The answer of `abctl simulate`, for people and for machines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abctl.services.simulate import Summary, VariantSummary


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
        "latencyMs": latency
        and {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99, "max": latency.max},
        "users": each.users,
        "feedbackSent": each.feedback_sent,
        "feedbackLost": each.feedback_lost,
        "feedbackMadeUp": each.made_up,
    }


def table(summary: "Summary") -> object:
    """A line for each variant, and remarks below."""
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    shown = Table("VARIANT", box=None, pad_edge=False)
    for column in ("REQUESTS", "USERS", "P50", "P95", "P99", "MAX ms", "FEEDBACK", "LOST"):
        shown.add_column(column, justify="right")
    shown.add_column("ERRORS")
    for each in summary.variants:
        latency = each.latency_ms
        times = (latency.p50, latency.p95, latency.p99, latency.max) if latency else ()
        shown.add_row(
            each.variant,
            f"{each.requests:,}",
            f"{each.users:,}",
            *([f"{ms:.1f}" for ms in times] or ["-"] * 4),
            f"{each.feedback_sent:,}",
            f"{each.feedback_lost:,}",
            ", ".join(f"{what} {count:,}" for what, count in each.errors.items()) or "none",
        )
    return Group(shown, "", *_remarks(summary))


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
    for each in summary.effects:
        touched = next(v.made_up for v in summary.variants if v.variant == each.variant)
        yield (
            f"SYNTHETIC effect of {each.size:+g} on {each.outcome} of {each.variant} "
            f"({touched:,} feedback values made up): not what the model did"
        )
    if summary.synthetic_outcomes:
        yield f"SYNTHETIC outcomes: {', '.join(summary.synthetic_outcomes)}"
