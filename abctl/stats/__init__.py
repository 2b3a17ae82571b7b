"""Numbers in, estimates out: knows no Kubernetes, no files, no clock.

Summaries of two variants make a stream. A method turns the stream into an estimate:

    >>> from abctl.stats.estimate import Plan
    >>> from abctl.stats.methods import proportion_sequence
    >>> from abctl.stats.summary import Counts, Stream
    >>> control = Counts(n=[500, 500, 500], successes=[50, 49, 51])
    >>> treatment = Counts(n=[500, 500, 500], successes=[75, 74, 76])
    >>> stream = Stream(control, treatment, epoch=[0, 0, 0])  # three polls under one split
    >>> found = proportion_sequence.estimate(stream, Plan(alpha=0.05))
    >>> round(found.effect, 4), found.rejects
    (0.05, True)

`methods` lists the methods. `power.sizes` plans sample sizes. `srm` checks the split.
`multiplicity` adjusts p-values. `bayes` gives posterior probabilities. `cuped` reduces variance.
"""
