"""An analysis in a notebook: shown as the report shows it, and as a dict or a frame."""

from dataclasses import dataclass
from typing import Any, Literal

from abctl.analysis.history import History
from abctl.core.analysis import Analysis, Verdict
from abctl.errors import UsageError
from abctl.forms.document import document
from abctl.notebook.frame import frame_of
from abctl.report.analysis import headline, screen
from abctl.report.page.page import page
from abctl.report.page.part import analysis_part
from abctl.report.rows import effect_columns, look_columns

_COLUMNS = {"effects": effect_columns, "looks": look_columns}


@dataclass(frozen=True, repr=False)
class Findings:
    """What the evidence of an experiment says; a notebook shows it as the report does.

    Attributes:
        analysis: everything that was found; `abctl.core.analysis` says what it has.
        history: what happened besides: ledger, traffic, latency.
        next_step: what to do next, in words.
    """

    analysis: Analysis
    history: History
    next_step: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What to do: `kind` is ship, stop, continue or invalid; with treatment and reasons."""
        return self.analysis.verdict

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data: what `abctl analyze -o json --path` prints."""
        return document(self.analysis)

    def to_frame(
        self, of: Literal["effects", "looks"] = "effects", *, library: str = "pandas"
    ) -> Any:
        """A row for each metric of each treatment, or for each look at it; numbers unrounded.

        Args:
            of: effects have values of control and treatment, the effect with its two-sided
                interval and p, and what is proven; looks what each look said of the effect.
            library: pandas or polars; or dict, which needs neither: a list for each column.

        Raises:
            UsageError: no such rows, or the library is not installed.
        """
        if of not in _COLUMNS:
            raise UsageError(f"to_frame({of!r})", f"must be one of {', '.join(_COLUMNS)}")
        return frame_of(_COLUMNS[of](self.analysis), library)

    def to_html(self) -> str:
        """The whole page that `abctl report` writes."""
        return page(self.analysis, self.history, self.next_step)

    def _repr_html_(self) -> str:
        return analysis_part(self.analysis, self.next_step)

    def __str__(self) -> str:
        return str(screen(self.analysis, wide=False))

    def __repr__(self) -> str:
        reasons = "; ".join(each.text for each in self.verdict.reasons)
        return f"<{self.analysis.experiment}: {headline(self.analysis)}; {reasons}>"
