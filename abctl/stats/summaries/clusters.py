"""How much information requests lose that are alike because they are of one server, or one user.

A variant runs on a few servers (pods). If one of them fails, all that it answers does, and requests
taken as independent would prove that the variant fails; so it is with a broken client that retries.
The variance between clusters (servers, buckets of users) over the one of independent requests is
their design effect (Kish 1965, section 5.4; the estimator of sums by cluster, Cochran 1977, section
9A.4). What one of many servers does is then about one event, whatever it answered; what all of them
do is as many as it was.

Where both variants have the same clusters (proxies in front, buckets), the differences in each of
them count: what a proxy does to both is no difference.

With two or three clusters the variance between them is hardly known, and small differences between
them look like none.

Sources: Kish (1965), Survey Sampling; Cochran (1977), Sampling Techniques, 3rd edition.
"""

from abctl.stats.summary import Array, Counts, weight_of


def between_clusters(control: Counts, treatment: Counts) -> float:
    """The variance of a difference of shares between clusters over that of independent requests.

    Args:
        control: requests, and those that something happened to, of each cluster: shape (clusters,).
        treatment: the same of the other variant, of the same clusters in the same order; 0 where
            one has none.

    Returns:
        At least 1, also where there is but one cluster.

    >>> bad = Counts(n=[1000.0] * 10, successes=[300.0, *[1.0] * 9])
    >>> good = Counts(n=[1000.0] * 10, successes=[1.0] * 10)
    >>> between_clusters(good, bad) > 100.0
    True
    >>> between_clusters(good, Counts(n=[1000.0] * 10, successes=[31.0] * 10))
    1.0
    """
    used = (control.n > 0) | (treatment.n > 0)
    if (used == (control.n > 0) & (treatment.n > 0)).all():
        n_a, n_b = control.n[used], treatment.n[used]
        w = weight_of(n_a, n_b)
        d = treatment.successes[used] / n_b - control.successes[used] / n_a
        total = float(n_a.sum() + n_b.sum())
        events = float(control.successes.sum() + treatment.successes.sum())
        p = events / total if total else 0.0
        return _effect(w, w * d, p * (1.0 - p))
    sides = []
    for side in (control, treatment):
        n, s = side.n[side.n > 0], side.successes[side.n > 0]
        p = float(s.sum() / n.sum()) if n.size else 0.0
        sides.append(_effect(n, s, p * (1.0 - p)))
    return max(sides)


def _effect(w: Array, x: Array, unit_variance: float) -> float:
    """Of weights and weighted values of clusters."""
    k = w.size
    if k < 2 or not unit_variance:
        return 1.0
    total = float(w.sum())
    off = x - w * float(x.sum()) / total
    return max(1.0, k / (k - 1) * float((off**2).sum()) / (total * unit_variance))
