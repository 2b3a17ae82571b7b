"""KServe in Knative mode: an InferenceService and its `canaryTrafficPercent`.

The split is between two revisions: the control is the last one that was rolled out, the treatment
is the latest. So the object alone says what the treatment is, never what the control is; and the
first revision of all gets everything, whatever is asked for: `baseline` rolls out the control
first. Promoting removes the field, rolling back sets it to 0. Any other change makes a new
revision, so a shift touches nothing else.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import (
    Capabilities,
    Misfit,
    _collector,
    _fit,
    _inference_service,
    _kserve_models,
    _weighted,
)
from abctl.platforms._inference_service import API, KNATIVE, MODE, inference_service, mode_of

CAPABILITIES = Capabilities(
    parts=100,
    sticky=False,
    override=False,
    cohorts=False,
    shadow=False,
    max_variants=2,
    reports="split",
    # What was rolled out before, wherever it stands.
    control=lambda obj: _names(obj)[0],
    by_mlserver=_kserve_models.by_mlserver,
)
_FIELD = "canaryTrafficPercent"
# Written once and never changed, as any change of an annotation makes a new revision.
_VARIANTS = "abctl.dev/variants"
_ALL = 100
# Parts of an InferenceService that may have a percentage of their own.
_OTHERS = ("transformer", "explainer")
_OF_REVISIONS = {"latestReadyRevision", "latestCreatedRevision", "traffic"}
_ROUTED = "PredictorRouteReady"

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment KServe cannot express."""
    return [
        *_fit.misfits("kserve", CAPABILITIES, experiment),
        *_inference_service.misfits(experiment, "kserve"),
    ]


def target(experiment: Experiment) -> Ref:
    """The InferenceService."""
    return Ref(API, "InferenceService", experiment.namespace, experiment.name)


def baseline(experiment: Experiment) -> list[Object]:
    """The InferenceService with the control's model, to be rolled out before the treatment's.

    Raises:
        SpecError: KServe cannot express the experiment.
    """
    return [_service(experiment, 0)]


def objects(experiment: Experiment) -> list[Object]:
    """The InferenceService with the treatment's model and its share.

    Raises:
        SpecError: KServe cannot express the experiment.
    """
    carrier = with_split(_service(experiment, 1), experiment.split)
    return [*_collector.objects(experiment), carrier]


def _service(experiment: Experiment, index: int) -> Json:
    _fit.require(misfits(experiment))
    obj = inference_service(
        experiment, experiment.variants[index], experiment.name, "Knative", silent=True
    )
    obj["metadata"]["annotations"][_VARIANTS] = ",".join(experiment.split.names)
    return obj


def with_split(obj: Object, split: Split) -> Object:
    """A copy with another `canaryTrafficPercent`, or without it where the treatment has all.

    Raises:
        SpecError: not of two variants, no whole percents, or another mode than Knative, where the
            field is silently ignored.
        ClusterError: not an InferenceService with a predictor, or one whose transformer or
            explainer has a percentage of its own.
    """
    _require_knative(obj)
    _weighted.require_fit(obj, _names(obj), split, CAPABILITIES.parts)
    after: Json = deepcopy(dict(obj))
    if split != split_of(obj):
        predictor = after["spec"]["predictor"]
        predictor[_FIELD] = split.shares_bp[1] * _ALL // TOTAL_BP
        if predictor[_FIELD] == _ALL:
            del predictor[_FIELD]
    return after


def split_of(obj: Object) -> Split:
    """The split between the revision that was rolled out last and the latest.

    Raises:
        SpecError: another mode than Knative, where nothing splits.
        ClusterError: no predictor, or no percentage, or one of a transformer or explainer too.
    """
    _require_knative(obj)
    percent = _predictor(obj).get(_FIELD)
    return _of_percent(obj, _ALL if percent is None else percent)


def mended(obj: Object) -> Object:
    """A copy with 0 as the percentage: everything to what was rolled out before.

    Raises:
        SpecError: another mode than Knative, where nothing splits.
        ClusterError: no predictor, or a transformer or explainer has a percentage of its own.
    """
    _require_knative(obj)
    after: Json = deepcopy(dict(obj))
    _predictor(after)[_FIELD] = 0
    return after


def _predictor(obj: Object) -> Json:
    predictor: Json | None = obj.get("spec", {}).get("predictor")
    if predictor is None:
        raise ClusterError(
            f"{Ref.of(obj)}: no predictor, so there is no split", "name one with spec.predictor"
        )
    return predictor


def programmed(obj: Object) -> Split | None:
    """What the traffic of the status gives to the latest revision; the rest is the control's.

    Knative's "latest" is the latest that is ready: until the treatment is, it gets nothing. The
    traffic stands in the status before the ingress carries it; the Route's readiness says when.
    """
    seen = _seen(obj)
    traffic = seen.get("traffic")
    if not traffic or platforms.complaint(obj, _ROUTED):
        return None
    latest = sum(t.get("percent", 0) for t in traffic if t.get("latestRevision"))
    late = seen.get("latestReadyRevision") != seen.get("latestCreatedRevision")
    return _of_percent(obj, 0 if late else latest)


def refusal(obj: Object) -> str | None:
    """Why KServe has not brought it into effect."""
    if obj.get("status") and programmed(obj) == split_of(obj):
        return None
    seen, model = _seen(obj), (obj.get("status") or {}).get("modelStatus") or {}
    if model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
        failure = model.get("lastFailureInfo") or {}
        said = failure.get("message") or failure.get("reason") or "without a reason"
        return f"the model is not loaded, {model['transitionStatus']}: {said}"
    created, ready = seen.get("latestCreatedRevision"), seen.get("latestReadyRevision")
    if created != ready:
        return f"the latest revision {created} is not ready, requests go to {ready or 'none'}"
    alone = ready and not seen.get("previousRolledoutRevision")
    if alone and ready == seen.get("latestRolledoutRevision"):
        return (
            f"{ready} is the only revision that is rolled out, and gets everything: "
            "the control must be rolled out before the treatment"
        )
    return platforms.complaint(obj, _ROUTED, "PredictorReady", "Ready")


def upstreams(obj: Object) -> Mapping[str, Sequence[str]]:
    """The two revisions, once the status knows them."""
    seen = _seen(obj)
    latest, rolled_out = seen.get("latestReadyRevision"), seen.get("latestRolledoutRevision")
    # A latest revision that has everything counts as rolled out itself.
    before = seen.get("previousRolledoutRevision") if latest == rolled_out else rolled_out
    control, treatment = _names(obj)
    return {control: (before,), treatment: (latest,)} if latest and before else {}


def objections(obj: Object) -> tuple[str, ...]:
    """What KServe, or Knative after it, says against the object."""
    if obj["kind"] != "InferenceService":
        return ()
    percent = obj.get("spec", {}).get("predictor", {}).get(_FIELD)
    wrong = percent is not None and not _is_percent(percent)
    out = [f"{_FIELD} {percent}: Knative takes 0 to 100"] if wrong else []
    return (*_inference_service.objections(obj), *out)


def _is_percent(given: Any) -> bool:
    return _weighted.is_weight(given) and given <= _ALL


def _of_percent(obj: Object, percent: Any) -> Split:
    if not _is_percent(percent):
        raise ClusterError(
            f"{Ref.of(obj)}: {_FIELD} {percent!r}, must be from 0 to 100",
            "set it in the object, or abctl rollback",
        )
    share = percent * TOTAL_BP // _ALL
    return Split(_names(obj), (TOTAL_BP - share, share))


def _names(obj: Object) -> tuple[str, str]:
    given = (obj["metadata"].get("annotations") or {}).get(_VARIANTS, "control,treatment")
    control, _, treatment = given.partition(",")
    return control, treatment


def _seen(obj: Object) -> Json:
    status = obj.get("status") or {}
    seen: Json = (status.get("components") or {}).get("predictor") or {}
    return seen


def _require_knative(obj: Object) -> None:
    """Refuse every mode but the one in which the field of the predictor is a split."""
    mode, seen = mode_of(obj), _seen(obj)
    if mode is None and seen and not seen.keys() & _OF_REVISIONS:
        mode = "another"  # by the cluster's default; Knative's status has revisions
    if mode not in (None, *KNATIVE):
        raise SpecError(
            f"{Ref.of(obj)}: deployed in {mode} mode, where {_FIELD} is silently ignored",
            "platform: gateway splits between two InferenceServices in Standard mode "
            f"(or annotate a new one with {MODE}: Knative)",
        )
    spec = obj.get("spec", {})
    if others := [part for part in _OTHERS if (spec.get(part) or {}).get(_FIELD) is not None]:
        raise ClusterError(
            f"{Ref.of(obj)}: {_FIELD} of {' and '.join(others)}, abctl shifts the predictor's",
            "take it out there: two splits, one behind the other, are none that can be judged",
        )
