"""Whether an experiment fits a platform: the rules that follow from what the platform can do."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from abctl.core.assignment import regions
from abctl.core.change import Object
from abctl.core.experiment import PROTOCOL, Experiment, Variant
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.core.template import Template
from abctl.errors import SpecError
from abctl.platforms import Capabilities, Misfit, Place, capabilities

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LONGEST_HOST = 253


def misfits(
    name: str, can: Capabilities, experiment: Experiment, *, regional: bool = True
) -> Iterator[Misfit]:
    """What a platform with these capabilities cannot express of an experiment.

    A sticky platform is `regional`, unless it needs no regions where requests are the unit.
    """
    rule = experiment.assignment
    if rule.unit != "request" and not can.sticky:
        message = f"{rule.unit}, but {name} draws every request anew"
        hint = f"unit: request, or platform: {able(lambda c: c.sticky)}"
        yield Misfit(("assignment", "unit"), message, hint)
    if rule.hash and rule.hash not in can.hashes:
        message = f"{rule.hash}, but {name} has a hash of its own"
        yield Misfit(("assignment", "hash"), message, "remove it")
    if rule.override and not can.override:
        message = f"{name} cannot force a variant"
        yield Misfit(("assignment", "override"), message, f"{able(lambda c: c.override)} can")
    if rule.cohorts and not can.cohorts:
        message = f"{name} cannot tell cohorts apart"
        yield Misfit(("assignment", "cohorts"), message, f"{able(lambda c: c.cohorts)} can")
    if can.max_variants is not None and len(experiment.variants) > can.max_variants:
        message = f"{len(experiment.variants)} given, {name} supports {can.max_variants}"
        hint = f"for more variants: {able(lambda c: c.max_variants is None)}"
        yield Misfit(("variants",), message, hint)
    yield from _placed(name, can, experiment)
    if experiment.shadow and not can.shadow:
        message = f"{name} cannot copy requests"
        yield Misfit(("shadow",), message, f"{able(lambda c: c.shadow)} can")
    yield from _pods(name, can, experiment)
    yield from _loaded(name, can, experiment)
    # Treatments are kept in regions of their own, whichever rule a split belongs to.
    regional = can.sticky and regional
    yield from _splits(name, can, ("variants",), experiment.split, regional)
    for i, cohort in enumerate(rule.cohorts):
        if cohort.split is not None:
            place = ("assignment", "cohorts", i, "split")
            yield from _splits(name, can, place, cohort.split, regional)


def _placed(name: str, can: Capabilities, experiment: Experiment) -> Iterator[Misfit]:
    """A place for the split that the platform does not know."""
    if experiment.entrance and not can.entrance:
        message = f"{name} has an entrance of its own"
        yield Misfit(("entrance",), message, f"remove it; {able(lambda c: c.entrance)} have one")
    if experiment.flag_file and not can.file:
        message = f"{name} has no file for its split"
        yield Misfit(("flagFile",), message, f"remove it, or platform: {able(lambda c: c.file)}")


def _pods(name: str, can: Capabilities, experiment: Experiment) -> Iterator[Misfit]:
    """Templates of pods that abctl does not make."""
    given = experiment.templates
    if given.proxy != Template() and not can.proxy:
        message = f"{name} runs no proxy of its own"
        yield Misfit(("proxy",), message, f"remove it; {able(lambda c: bool(c.proxy))} run one")
    if given.every != Template() and not can.images:
        message = f"{name} runs models in servers that all share"
        yield Misfit(("template",), message, f"remove it; {able(lambda c: c.images)} make pods")
    for place, variant in served(experiment):
        shared = variant.model.service and not variant.model.image
        if variant.name in given.own and (shared or not can.images):
            message = "abctl makes no pods of this model"
            hint = (
                "remove it, or give the model an image in place of service"
                if shared
                else (f"remove it; {able(lambda c: c.images)} make pods")
            )
            yield Misfit((*place, "template"), message, hint)


def _loaded(name: str, can: Capabilities, experiment: Experiment) -> Iterator[Misfit]:
    """What is said of a runtime that loads a model, where there is none."""
    for place, variant in served(experiment):
        model = variant.model
        given = {
            "runtime": model.runtime,
            "protocol": None if model.protocol == PROTOCOL else model.protocol,
        }
        for key, value in given.items():
            if value and not can.by_mlserver:
                message = f"{value}, but {name} has no runtimes of KServe"
                hint = f"remove it; {able(lambda c: bool(c.by_mlserver))} have some"
                yield Misfit((*place, "model", key), message, hint)
            elif value and not model.uri:
                message = f"{value}, but KServe loads no model here"
                yield Misfit((*place, "model", key), message, "remove it, or give a uri and format")


def without_format(place: Place, variant: Variant) -> Iterator[Misfit]:
    """A stored model without a format."""
    model = variant.model
    if model.uri and not model.image and not model.format:
        place = (*place, "model", "format")
        yield Misfit(place, "is missing, the model at uri needs it", "format: sklearn")


def _splits(
    name: str, can: Capabilities, place: Place, split: Split, regional: bool
) -> Iterator[Misfit]:
    grain = TOTAL_BP // can.parts
    for i, (variant, share) in enumerate(zip(split.names, split.shares_bp, strict=True)):
        if share % grain:
            own = (*place, i, "split") if place == ("variants",) else place
            message = f"{variant} at {format_share(share)}, {name} supports steps of"
            nearest = format_share(round(share / grain) * grain)
            finer = able(lambda c: c.parts > can.parts)
            yield Misfit(
                own,
                f"{message} {format_share(grain)}",
                f"write {nearest}{f'; for finer steps: {finer}' if finer else ''}",
            )
    if regional:
        try:
            regions(split)
        except SpecError as error:
            yield Misfit(place, error.message, error.hint)


def served(experiment: Experiment) -> Iterator[tuple[Place, Variant]]:
    """Everything that has a model server, and what leads to it in `spec`."""
    yield from ((("variants", i), variant) for i, variant in enumerate(experiment.variants))
    if experiment.shadow:
        yield ("shadow",), experiment.shadow


def address(experiment: Experiment, *, any_host: bool = False) -> Iterator[Misfit]:
    """Refuse a gateway or a host whose name the API server would refuse.

    Args:
        experiment: whose entrance.
        any_host: whether `*` stands for every host.
    """
    given = experiment.entrance
    if given is None:
        return
    if given.gateway and not re.fullmatch(rf"({_LABEL}/)?{_LABEL}(\.{_LABEL})*", given.gateway):
        message = f"{given.gateway!r}, must be namespace/name of a gateway"
        yield Misfit(("entrance", "gateway"), message, "gateway: gateways/public")
    host = given.host or "x"
    if any_host and host == "*":
        return
    if not re.fullmatch(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", host) or len(host) > _LONGEST_HOST:
        message = f"{host!r}, must be a host name: no address, port or path"
        yield Misfit(("entrance", "host"), message, "host: iris.example.com, or *.example.com")


def require(found: Iterable[Misfit]) -> None:
    """Refuse an experiment that does not fit.

    Raises:
        SpecError: the first misfit.
    """
    for misfit in found:
        steps = (f"[{s}]" if isinstance(s, int) else f".{s}" for s in misfit.place)
        raise SpecError(f"{''.join(steps).lstrip('.')}: {misfit.message}", misfit.hint)


def no_baseline(experiment: Experiment) -> list[Object]:  # noqa: ARG001 - the protocol's
    """Nothing, for platforms that take everything at once."""
    return []


def no_objections(obj: Object) -> tuple[str, ...]:  # noqa: ARG001 - the protocol's
    """None, for platforms whose objects have no admission of their own."""
    return ()


def no_upstreams(obj: Object) -> Mapping[str, Sequence[str]]:  # noqa: ARG001 - the protocol's
    """None, for platforms whose metrics call a variant by its name."""
    return {}


def always(experiment: Experiment) -> bool:  # noqa: ARG001 - the protocol's
    """True, for platforms that do something whatever the experiment is."""
    return True


def able(test: Callable[[Capabilities], bool]) -> str:
    """The platforms that can do something, in words; empty if there are none."""
    found = [name for name, can in capabilities().items() if test(can)]
    return " or ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def container_name(place: Place, name: str, platform: str) -> Iterator[Misfit]:
    """Refuse a model's name where the platform makes the name of a container of it."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        message = f"{name!r}, {platform} uses it as the name of a container"
        yield Misfit(place, message, "at most 63 lower-case letters, digits and dashes")
