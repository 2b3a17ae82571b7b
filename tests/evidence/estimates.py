"""An estimate of which a test changes what matters to it (`dataclasses.replace`)."""

from abctl.stats.estimate import Estimate

PLAIN = Estimate(
    method="proportion_sequence",
    control=0.5,
    treatment=0.5,
    effect=0.0,
    interval=(-1.0, 1.0),
    lift=None,
    lift_interval=None,
    p=0.5,
    log_p=-0.7,
    alpha=0.05,
    alternative="greater",
    guarantee="exact",
    assumptions=(),
    n=(100.0, 100.0),
    epochs=(0,),
    log_e=0.0,
)
