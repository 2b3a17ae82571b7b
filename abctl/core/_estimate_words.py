"""The words of why there is no estimate, and of the notes of one, by code; see `_words` (pure)."""

from collections.abc import Mapping

# By code; the order is that of the documented list.
OF_ESTIMATES: Mapping[str, str] = {
    # Nothing was counted.
    "splitChanging": "nothing counts yet: a change of the split is not finished",
    "countsFrom": "nothing counts yet: requests count from {counts_from} on (design.settle)",
    "tooFewScrapes": (
        "nothing counts yet: requests count since {counts_from}, too few scrapes ago"
    ),
    "notMature": "no prediction that counts is older than {maturity_seconds:duration} yet",
    "nothingCounted": "{variant} has no {counted} since {counts_from}; only those count",
    "noSeries": (
        "{place} has no series of {selector}: none was counted yet, or the names differ there"
    ),
    "noBucketLabel": (
        "a series has bucket={label!r}, must be 0 to {highest}: the variance between users is not "
        "known without it"
    ),
    "noHistogramEdges": 'a histogram needs le="+Inf" and at least one finite edge',
    "noSharedEpoch": "no epoch with data in both variants",
    # There is not enough yet.
    "tooFewValues": "n of {n_count:g} in a variant, needs {needed_count:g}",
    "tooFewValuesForNormal": (
        "needs {needed_count:g} values in each variant, not made up by a few large ones"
    ),
    "tooFewPolls": (
        "too few polls to tell a difference from a burst of requests, needs {needed_count:g} or "
        "more"
    ),
    "tooFewFailingPolls": (
        "what failed did so in fewer than {needed_count:g} polls, which may be a burst"
    ),
    "otherPopulation": (
        "{variant}: its latency is counted together with {others_count:,.0f} requests of other "
        "models on the same server ({selector}), so it is not that of its requests"
    ),
    "tooFewBuckets": "{buckets_count:g} buckets of users, needs {needed_count:g}",
    "fewUnitsHoldAll": (
        "a few users send nearly all requests: they differ like {effective_count:.1f} equal ones, "
        "needs {needed_count:g}; the largest has {largest_ratio:.0%} of its variant"
    ),
    "noGroupLabel": (
        "a series has group={label!r}, must be 0 to {highest}: the variance between users is not "
        "known without it"
    ),
    "tooFewBucketsFilled": (
        "the sums are made up by too few of the buckets, needs {needed_count:g} (or half of them)"
    ),
    "tooFewBeyondQuantile": (
        "{expected_count:.3g} values expected beyond the quantile in a variant, needs "
        "{needed_count:g}"
    ),
    "tooFewExpected": (
        "the smallest expected count is {expected_count:.3g}, needs {needed_count:g}: fisher is "
        "for small samples"
    ),
    "tooFewUnitsExpected": "{expected_count:.3g} units expected, needs {needed_count:g}",
    "tooFewEffectiveUsers": (
        "the requests of a variant weigh like those of {users_count:.2g} users, needs "
        "{needed_count:g}"
    ),
    # The data cannot tell it.
    "noShareDifference": (
        "a null of {null:g} is no difference of two shares: two percentage points are 0.02"
    ),
    "levelsUnlabelled": (
        "a relative margin needs labels also of pairs whose answers agree: give it in percentage "
        "points, such as 1pp"
    ),
    "harmedLately": "harm since {since} is proven: what was within the margin before is no answer",
    "noVariance": "no variance in either variant",
    "noVarianceOfBuckets": "no variance between the buckets of either variant",
    "spreadLost": (
        "all values are the same, or their spread is lost in rounding: export the sums about a "
        "constant near the mean (shift)"
    ),
    "otherBuckets": (
        "{control_count:g} buckets in the control, {treatment_count:g} in the treatment"
    ),
    "oneBucketOnly": "all values lie in one bucket of the histogram",
    "tooFewCommonEdges": (
        "the histograms of the variants have fewer than two edges in common: serve both with the "
        "same edges"
    ),
    "quantileAboveEdges": "the quantile is not surely below the last finite edge, {edge:g}",
    "thresholdNoEdge": (
        "{threshold:g} is not an edge of the histogram; the nearest is {nearest:g}"
    ),
    "noDataBefore": "no data in a variant, during or before the experiment",
    "nothingToAdjustBy": "the values before are all the same: there is nothing to adjust by",
    "noVarianceLeft": "the values before explain all of the variance",
    "contradictingData": "the data contradict each other: {problem}",
    # The method does not fit.
    "noMde": "no size of effect to look for: give an mde",
    "noQuantile": "no quantile in the plan",
    "noThreshold": "no threshold in the plan",
    "equalityOnly": "tests equality only, without a margin (proportions: barnard has margins)",
    "twoSidedEqualityOnly": ("chi-squared has neither a side nor a margin: proportion has both"),
    "oneEpochOnly": "for one epoch only: proportion takes several",
    "smallSamplesOnly": "for small samples: proportion takes large ones",
    "methodUnknown": "{problem}",
    # Why the split is not checked.
    "notOnlyExposures": (
        "preset {preset} counts requests that were not randomized like those that were"
    ),
    "scrapedUnevenly": (
        "{slow} is scraped every {slow_seconds:duration} and {fast} every {fast_seconds:duration}, "
        "which explains the difference: set one scrape interval for both"
    ),
    "requestsUnknown": "the source has no request counters of {variants:and}",
    "noTraffic": "no traffic that counts",
    "pairsOfBoth": "both variants answered the same requests, so there is none",
    "oneVariantOnly": "one variant has all the traffic, there is nothing to compare",
    # What a reader should know of an estimate.
    "rejectedEarlier": (
        "the null was rejected at an earlier look and stays so; this look alone would not"
    ),
    "harmSince": "in what was counted since {since}, which nothing from before can outweigh",
    "fewEvents": (
        "few events, or of few users: judged by how many users have them, as told by how events "
        "clump in buckets of users"
    ),
    "epochsLeftOut": "{epochs_count} epochs without data in both variants were left out",
    "smallEpochsLeftOut": "epochs with under 2 values in a variant were left out",
    "approximate": (
        "the smallest expected count is {expected_count:.3g}, under {needed_count:g}: approximate"
    ),
    "chiSquared": (
        "smallest expected count {expected_count:.4g}; with Yates' correction p = {yates_p:.4g}"
    ),
    "withinOneBucket": (
        "{variant}: between {low:g} and {high:g}, one bucket; the rest is interpolation"
    ),
    "varianceReduced": "the time before takes {reduced_ratio:.0%} off the variance",
    "agreementsUnlabelled": (
        "pairs whose answers agree have no label, so nobody knows how many of them are right: "
        "values are the shares of pairs in which one variant alone is right"
    ),
    "differedBefore": (
        "the variants differed before the experiment already (p = {p:.1g}): either chance, or "
        "units were not assigned at random"
    ),
    "signTurned": (
        "the adjustment turned the sign of the effect, which was {effect_before:+.4g} without it"
    ),
}
