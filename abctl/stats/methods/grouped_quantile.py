"""A quantile of two variants by groups of users, once.

H0 is that of `quantile`, whose quantile it is: of all requests, in all epochs. Users are assigned,
and requests of one user are alike, so the variance is the one between groups of users (see
`grouped`), and the test is Student's t with its degrees of freedom (Satterthwaite's within one
epoch, groups - 1 over several). While a few users hold nearly all requests, there is no estimate.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Woodruff (1952),
doi:10.1080/01621459.1952.10483443; Satterthwaite (1946), doi:10.2307/3002019.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import t_test
from abctl.stats.summaries.grouped import GroupedHistogram, comparable, grouped_paths
from abctl.stats.summaries.histograms import bucket_notes
from abctl.stats.summary import Stream

SUMMARY = GroupedHistogram
SEQUENTIAL = False
ASSUMPTIONS = (
    "users are assigned at random and hashed to groups independently of that",
    "inside a bucket of the histogram values are evenly spread",
    "quantiles of this many users are close to normal",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[GroupedHistogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of the plan's quantile and its lift.

    >>> edges = (0.1, 0.25, 0.5)  # seconds
    >>> control = GroupedHistogram([[[70, 25, 4, 1], [72, 23, 4, 1]] * 8], edges)
    >>> treatment = GroupedHistogram([[[60, 30, 8, 2], [62, 28, 8, 2]] * 8], edges)
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan(quantile=0.9))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.2188, 0.25, True)
    """
    if plan.quantile is None:
        return NotEstimable("grouped_quantile", Remark("noQuantile"))
    known = comparable(stream.by_epoch())
    if isinstance(known, Remark):
        return NotEstimable("grouped_quantile", known)
    epochs, pair = known
    found = grouped_paths(epochs, pair, plan.quantile, support=False)
    if (why := found.unready(epochs, plan.quantile)) is not None:
        return NotEstimable("grouped_quantile", why, pair.n)
    contrast = found.paths.last(pair.n, pair.epochs)
    notes = bucket_notes(pair, plan.quantile, 2.0)
    return t_test("grouped_quantile", contrast, plan, assumptions=ASSUMPTIONS, notes=notes)
