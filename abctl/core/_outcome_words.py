"""The words of what is said of outcomes and their reports, by code, as in `_words` (pure)."""

from abctl.core import figures
from abctl.core._words import Facts, Words


def _pace(f: Facts) -> str:
    what = "above zero" if f["hit"] else "of zero"
    shares = f"{f['control_ratio']:.1%} of the control's and {f['treatment_ratio']:.1%} of"
    return (
        f"reports do not come alike: of those {what}, {shares} {f['treatment']}'s came within "
        f"{figures.duration(f['within_seconds'])} of the prediction (p = {f['p']:.2g}), so what is "
        "not reported in time may be others; report both by the same way, or take it per request "
        "or per user"
    )


def _capped(f: Facts) -> str:
    what = "the sum of a user" if f["per"] == "user" else "a report"
    return f"{what} of {f['outcome']} counts as at most {f['cap']:g}"


# By code; the order is that of the documented list.
OF_OUTCOMES: Words = {
    # Why the reports of an outcome cannot be used.
    "reportsDiffer": (
        "answers are not reported on alike: {control_ratio:.1%} of the control's and "
        "{treatment_ratio:.1%} of {treatment}'s (p = {p:.2g}), so those reported on may be others; "
        "report every outcome, or take it per request or per user"
    ),
    "memoryLost": (
        "the collector began with a new memory at {since}: what the old one held was not counted, "
        "so shares would be too low; begin a new experiment, or restore the volume"
    ),
    "reportsMayDiffer": (
        "{metric}: answers may not be reported on alike: {control_ratio:.1%} of the control's and "
        "{treatment_ratio:.1%} of {treatment}'s (p = {p:.2g}); {treatment} is not shipped until "
        "that is settled"
    ),
    "reportsPaceDiffers": (
        "treatment within_seconds hit control_ratio treatment_ratio p",
        _pace,
    ),
    "matures": (
        "per {per}; judged are predictions older than {maturity_seconds:duration}, through "
        "{judged_through}"
    ),
    "earlyLook": (
        "an early look, at age {age_seconds:duration} of its predictions: shown, and decides "
        "nothing"
    ),
    "capped": ("outcome cap per", _capped),
    "collectorNotScraped": (
        "nobody scrapes the collector (no series of {selector}): what is reported counts nowhere"
    ),
    "collectorLost": (
        "{refused_count:,.0f} reports were refused and count nowhere: their predictions are older "
        "than the collector's memory; was its volume lost?"
    ),
    "fewReports": (
        "{metric}: {reports_count:,.0f} reports on {answers_count:,.0f} answers; if only what "
        "happened is reported, and not what did not, take it per request or per user"
    ),
}
