"""The words of what is said of tables of events, by code (pure)."""

from abctl.core import figures
from abctl.core._words import Facts, Words, deviation
from abctl.core.time import format_duration


def _missing(f: Facts) -> str:
    parts = [
        (f["null_count"], "empty"),
        (f["infinite_count"], "NaN or infinite"),
        (f["text_count"], f"no number, such as {f['example']!r}"),
    ]
    said = ", ".join(f"{n:,} {what}" for n, what in parts if n)
    return (
        f"{f['metric']} of {f['variant']}: of {f['rows_count']:,} rows {said}: they are left out, "
        "and are no zeros"
    )


def _missing_differs(f: Facts) -> str:
    return (
        f"values are not missing alike: {f['control_ratio']:.2%} of the control's rows and "
        f"{f['treatment_ratio']:.2%} of {f['treatment']}'s have no number "
        f"({figures.probability(f['p'])}), so those that have one may be others"
    )


def _mixed(f: Facts) -> str:
    return (
        f"{f['units_count']:,.0f} of {f['total_count']:,.0f} units saw several variants "
        f"({f['units_count'] / f['total_count']:.3%}): their rows are left out"
    )


def _too_mixed(f: Facts) -> str:
    return (
        f"{f['variant']}: {f['units_count']:,.0f} of its {f['total_count']:,.0f} units saw another "
        f"variant as well, must be {f['limit_ratio']:.1%} or less: leaving them out, or taking "
        "their first variant, would be biased"
    )


def _mixed_differs(f: Facts) -> str:
    return (
        f"units that saw several variants are {f['control_ratio']:.3%} of the control's and "
        f"{f['treatment_ratio']:.3%} of {f['treatment']}'s ({figures.probability(f['p'])}): "
        "leaving them out changes one more than the other"
    )


def _segment(f: Facts) -> str:
    return f"{f['column']}={f['value']}" if f["value"] is not None else f"empty {f['column']}"


def _adjusted(f: Facts) -> str:
    before = f["before_seconds"]
    return f", adjusted by the same {format_duration(before)} before it" if before else ""


def _unpaired(f: Facts) -> str:
    parts = [
        (f["without_treatment_count"], f"no answer of {f['treatment']}"),
        (f["without_control_count"], "none of the control"),
        (f["repeated_count"], "several of one variant"),
    ]
    said = ", ".join(f"{n:,} have {what}" for n, what in parts if n)
    return (
        f"{f['pairs_count']:,} units have an answer of both; {said}: these are left out. If an "
        "answer is missing because it failed, give it a row and count it as wrong"
    )


OF_TABLES: Words = {
    # Why a table cannot be trusted.
    "unitsMismatch": (
        "variant requests_count total_count expected_count p alpha",
        lambda f: f"units do not follow the split: {deviation(f, mismatch=True, of='units')}",
    ),
    "unitsMixed": ("variant units_count total_count limit_ratio", _too_mixed),
    "unitsMixedDiffer": ("treatment control_ratio treatment_ratio p", _mixed_differs),
    "missingDiffers": ("treatment control_ratio treatment_ratio p", _missing_differs),
    "segmentMismatch": (
        "column value variant requests_count total_count expected_count p alpha",
        lambda f: (
            f"units of {_segment(f)} do not follow the split, with all segments accounted for "
            f"(Holm): {deviation(f, mismatch=True, of='units')}"
        ),
    ),
    # What a reader should know besides.
    "segmentsFew": (
        "{units_count:,.0f} units of {values_count} values of {column} are not judged by "
        "themselves: of each variant {needed_count:.0f} or more are needed"
    ),
    "segmentsRare": (
        "{units_count:,.0f} units have other values of {column} than the {most_count} most "
        "frequent ones: they are in no segment of it"
    ),
    "segmentsSeveral": (
        "{units_count:,.0f} units have several values of {column}: they are in no segment of it"
    ),
    "noLedger": (
        "a table has no ledger: whether the split stayed the same, and whether the metrics were "
        "chosen before their results were seen, it cannot say"
    ),
    "oneLookAtTable": (
        "this is one look, and its error rate is that of one: do not look again and again until "
        "it says what you want"
    ),
    "pairsSayNot": (
        "pairs compare answers: what users make of an answer, and how long it takes under real "
        "traffic, takes a split"
    ),
    "unitsUnpaired": (
        "treatment pairs_count without_treatment_count without_control_count repeated_count",
        _unpaired,
    ),
    "labelsOfSome": (
        "{treatment}: of {differ_count:,.0f} pairs whose answers differ {labelled_count:,.0f} have "
        "a label; those must be a random part of them. Of pairs that agree as large a part counts"
    ),
    "splitAssumed": "the split is taken to be {split:split}; --split says another",
    "rowsAreUnits": (
        "each row is taken as independent of the others; if one user has several, say whose they "
        "are: --unit COLUMN"
    ),
    "directionAssumed": (
        "{metric}: {direction} is taken to be better; write 'higher is better' or 'lower is "
        "better' behind it"
    ),
    "valuesMissing": (
        "metric variant null_count infinite_count text_count example rows_count",
        _missing,
    ),
    "unitsMixedFew": ("units_count total_count", _mixed),
    "rowsWithoutUnit": "{rows_count:,} rows name no {column}: they are left out",
    "rowsWithoutVariant": "{rows_count:,} rows name no {column}: they are left out",
    "variantsUnknown": "{rows_count:,} rows of {variants:and} are left out: no variants of --split",
    "rowsRepeated": (
        "{rows_count:,} rows equal another one in every column, and count: were they written or "
        "loaded twice?"
    ),
    "unitsAlike": (
        "{variant}: rows of one unit are alike: they tell as much as {effective_count:,.0f} "
        "independent ones of {rows_count:,.0f}"
    ),
    "tooLarge": "its numbers cannot be added up: {detail}",
    # Of an experiment whose metrics are of tables.
    "unitsWrong": (
        "units_count total_count limit_ratio",
        lambda f: (
            f"{f['units_count']:,.0f} of {f['total_count']:,.0f} units saw a variant that was not "
            f"theirs by the ledger and the hash of their id, must be {f['limit_ratio']:.1%} or "
            "less: are ids written as the proxy hashes them, and is the salt right? "
            "abctl assign EXPERIMENT ID says whose an id is"
        ),
    ),
    "unitsSeveral": (
        "units_count total_count limit_ratio",
        lambda f: (
            f"{f['units_count']:,.0f} of {f['total_count']:,.0f} units saw several variants, must "
            f"be {f['limit_ratio']:.1%} or less: leaving them out would be biased"
        ),
    ),
    "unitsWrongFew": (
        "{units_count:,.0f} of {total_count:,.0f} units saw a variant that was not theirs by the "
        "ledger and the hash of their id: they count for the variant that was theirs"
    ),
    "unitsSeveralFew": (
        "{units_count:,.0f} of {total_count:,.0f} units saw several variants: they are left out"
    ),
    "splitOfFile": (
        "the split is taken to have been that of the file, {split:split}, from the first exposure "
        "on"
    ),
    "tablesBehind": (
        "the tables end {behind_seconds:duration} ago, at {latest}: what came later is not "
        "judged. Are they loaded?"
    ),
    "closedDaysChanged": (
        "table rows_count days_count first",
        lambda f: (
            f"{f['table']}: {f['days_count']:,} days that were over have other rows than they had "
            f"({f['rows_count']:+,}), the first is {f['first']}: days that were judged count as "
            "they were. Rows that come later than `late` says are not counted"
        ),
    ),
    "unitsAroundChanges": (
        "{units_count:,} units are left out: they were first exposed while the split changed"
    ),
    "unitsOpen": (
        "{units_count:,} units are not judged yet: their {window_seconds:written} are not over"
    ),
    "unitsMoved": (
        "{units_count:,} units are left out, by the hash of their id: a shift moved them within "
        "their {window_seconds:written}"
    ),
    "exposuresOfOthers": (
        "{rows_count:,} exposures of {variants:and} are left out: no variants of the experiment"
    ),
    "rowsWithoutVariantName": "{table}: {rows_count:,} rows name no variant: they are left out",
    "rowsOfNobody": "{table}: {rows_count:,} rows name no unit: they are left out",
    "rowsWithoutTime": "{table}: {rows_count:,} rows have no time: they are left out",
    "rowsBeforeStart": "{table}: {rows_count:,} rows are of before the start: they are left out",
    "rowsOfFuture": (
        "{table}: {rows_count:,} rows are of the future: they are left out; is the time zone right?"
    ),
    "eventsWithoutNumber": (
        "{event}: of {rows_count:,} rows {null_count:,} have no number and {infinite_count:,} NaN, "
        "infinity or one too large: units that have such are left out, and are no zeros"
    ),
    "eventsRepeated": (
        "{event}: {rows_count:,} rows equal another one in unit, time and value, and count: were "
        "they loaded twice?"
    ),
    "eventUnknown": "no row of events is called {event}",
    "windowsOpen": "no unit's {window_seconds:written} after its first exposure are over",
    "capUnknown": (
        "too few units to settle what {cap_ratio:.4g} of them have at most; cap: NUMBER needs none"
    ),
    "nothingHasNumber": "no unit's events have numbers",
    "withinWindow": (
        "window_seconds before_seconds",
        lambda f: (
            f"what a unit did within {format_duration(f['window_seconds'])} of its first exposure"
            + _adjusted(f)
        ),
    ),
    "withinLaterWindow": (
        "after_seconds window_seconds before_seconds",
        lambda f: (
            f"what a unit did from {format_duration(f['after_seconds'])} to "
            f"{format_duration(f['window_seconds'])} after its first exposure" + _adjusted(f)
        ),
    ),
}
