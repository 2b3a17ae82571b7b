"""The objects of an experiment: as a tree for people, as a list for machines."""

from typing import TYPE_CHECKING, Any

from abctl.report.prose import prose, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text
    from rich.tree import Tree as Shown

    from abctl.core.change import Ref
    from abctl.session.tree import Condition, Node, Pod, Tree


# A line, and whether what it says is good.
Said = tuple[str, bool | None]
# Columns by which a branch is further right than what it is of.
_STEP = 4
# Of these, True is what something is wrong with: KServe's says that nobody stopped the service.
_WELL_WHEN_FALSE = frozenset({"Stopped"})


def document(tree: "Tree") -> list[dict[str, Any]]:
    """Every object with its conditions; the first carries the split."""
    rows = [_row(tree.carrier, "carrier", None)]
    for branch in tree.branches:
        rows += [_row(node, branch.role, branch.name) for node in branch.servers]
        rows += [
            {
                "kind": "Pod",
                "namespace": tree.carrier.ref.namespace,
                "name": pod.name,
                "role": branch.role,
                "variant": _variant(branch.role, branch.name),
                "ready": pod.ready,
                "why": pod.why or None,
                "restarts": pod.restarts,
            }
            for pod in branch.pods
        ]
    return rows


def _row(node: "Node", role: str, name: str | None) -> dict[str, Any]:
    ref = node.ref
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "role": role,
        "variant": _variant(role, name),
        "ready": node.why is None,
        "why": node.why,
        "conditions": [
            {"type": c.type, "status": c.status, "reason": c.reason, "message": c.message}
            for c in node.conditions
        ],
    }


def _variant(role: str, name: str | None) -> str | None:
    return name if role in ("variant", "shadow") else None


def shown(tree: "Tree", wide: bool) -> "Shown":
    """From the object that carries the split to the pods; of those only what is not ready.

    Wide: also what is well, and every condition.
    """
    from rich.tree import Tree as Shown  # noqa: PLC0415 - rich is slow to import

    root = Shown(_text(0, *_node(tree.carrier, "no complaint")))
    _add(root, 1, _conditions(tree.carrier, wide))
    for branch in tree.branches:
        title = {"shadow": f"{branch.name} (gets copies)"}.get(branch.role, branch.name)
        under = root.add(_text(1, " = ".join((title, *branch.parts))))
        for node in branch.servers:
            _add(under.add(_text(2, *_node(node, "ready"))), 3, _conditions(node, wide))
        if branch.pods:
            ready = sum(pod.ready for pod in branch.pods)
            well = ready == len(branch.pods)
            count = under.add(_text(2, f"{ready} of {len(branch.pods)} pods ready", good=well))
            _add(count, 3, (_pod(pod) for pod in branch.pods if wide or not pod.ready))
    return root


def _add(under: "Shown", depth: int, lines: "Iterator[Said]") -> None:
    for line in lines:
        under.add(_text(depth, *line))


def _node(node: "Node", well: str) -> Said:
    return f"{_name(node.ref)}  {node.why or well}", node.why is None


def _conditions(node: "Node", wide: bool) -> "Iterator[Said]":
    for condition in node.conditions:
        said = condition.message or condition.reason
        told = bool(node.why and said and said in node.why)
        good = "False" if condition.type in _WELL_WHEN_FALSE else "True"
        if wide or (condition.status != good and not told):
            yield _said(condition), None


def _said(condition: "Condition") -> str:
    said = ": ".join(filter(None, (condition.reason, condition.message)))
    return f"{condition.type}={condition.status}{f'  {said}' if said else ''}"


def _pod(pod: "Pod") -> Said:
    again = f", {pod.restarts} restarts" if pod.restarts else ""
    return f"pod/{pod.name}  {'ready' if pod.ready else pod.why}{again}", pod.ready


def _name(ref: "Ref") -> str:
    return f"{ref.kind.lower()}/{ref.name}"


def _text(depth: int, text: str, good: bool | None = None) -> "Text":
    """As Text, because messages come from elsewhere and may have brackets, which rich reads."""
    from rich.text import Text  # noqa: PLC0415

    style = "" if good is None else ("green" if good else "red")
    return Text(prose(text, room=width() - _STEP * depth), style)
