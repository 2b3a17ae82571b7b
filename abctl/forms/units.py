"""What was counted in tables, as it is saved and kept; sums of all cells lie in one array each."""

from datetime import date

from abctl.forms import Form
from abctl.forms.evidence import Array, Ledger
from abctl.forms.experiment import Experiment, Metric, Split

# To be raised whenever an abctl of before must not read what is written. 1 has no tables.
FORMAT = 2


class Rows(Form):
    """A table and its columns."""

    from_: str
    unit: str
    at: str
    variant: str
    name: str
    value: str | None
    segments: tuple[str, ...] = ()


class Tables(Form):
    """What rows are taken, and not where they are."""

    engine: str
    exposures: Rows
    events: Rows
    timezone: str
    late_seconds: float


class Asked(Form):
    """What was asked of them."""

    tables: Tables
    names: tuple[str, ...]
    metrics: tuple[Metric, ...]
    since: float | None
    until: float


class Period(Form):
    """A period of one split."""

    number: int
    start: float
    end: float
    place: int


class Checked(Form):
    """What rows are left out, or doubtful."""

    rows: int
    unitless: int
    timeless: int
    early: int
    future: int
    numberless: int
    infinite: int
    earliest: float | None
    latest: float | None
    repeated: int


class Daily(Form):
    """The rows of a day."""

    of: str
    day: int
    rows: int
    unitless: int
    numberless: int
    infinite: int
    latest: float | None
    added: float
    absolute: float
    repeated: int


class Changed(Form):
    """Days whose rows are no longer those that there were."""

    of: str
    days: int
    first: str
    rows: int


class Cells(Form):
    """Units by epoch, day, course and variant: each field has one of each cell.

    Attributes:
        seen: the place of the variant; -1 for several.
        sums: of each metric those of all cells, one cell after the other.
        by_bucket: the same of ratios, by their places among the metrics, bucket by bucket.
    """

    epoch: tuple[int | None, ...]
    day: tuple[int, ...]
    course: tuple[str, ...]
    seen: tuple[int, ...]
    units: tuple[int, ...]
    rows: tuple[int, ...]
    wrong: tuple[int, ...]
    sums: tuple[Array, ...]
    by_bucket: tuple[tuple[int, Array], ...]


class Segment(Form):
    """Units that have one value of a column; `code` below 0 says why it is none of the known."""

    column: str
    value: str | None
    code: int
    cells: Cells


class Units(Form, omit_defaults=True):
    """All of it; `experiment` and `ledger` where no counters are saved beside it."""

    place: str
    asked: Asked
    periods: tuple[Period, ...]
    first: date
    hashed: bool
    splits: tuple[Split, ...]
    exposures: tuple[tuple[str | None, Checked], ...]
    events: tuple[tuple[str | None, Checked], ...]
    caps: tuple[tuple[int, float | None], ...]
    cells: Cells
    through: float
    changed: tuple[Changed, ...] = ()
    experiment: Experiment | None = None
    ledger: Ledger | None = None
    segments: tuple[Segment, ...] = ()


class Kept(Form):
    """Days that are closed, as they were when they closed."""

    version: int
    key: str
    days: int
    periods: tuple[Period, ...]
    splits: tuple[Split, ...]
    caps: tuple[tuple[int, float | None], ...]
    cells: Cells
    over: int
    daily: tuple[Daily, ...]
    by: tuple[tuple[str, tuple[str, ...]], ...] = ()
    segments: tuple[Segment, ...] = ()
