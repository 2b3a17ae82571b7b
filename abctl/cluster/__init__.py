"""The world that is changed, by one kind of client: a cluster, or the directory of a stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from abctl.core.change import Object, Ref
from abctl.core.time import parse_moment

Operations = list[dict[str, Any]]  # of a JSON Patch


@dataclass(frozen=True)
class Manager:
    """Who writes an object, as the world has noted it (metadata.managedFields).

    Attributes:
        name: of the field manager; empty where the world notes none.
        operation: Apply, or Update for whatever else.
        at: when it last changed the object (unix seconds, rounded up); None if not known.
        status: whether it writes the status, and nothing else.
        fields: what it owns, as `fieldsV1` has it.
    """

    name: str
    operation: str
    at: float | None
    status: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> "Manager":
        """As an entry of managedFields has it."""
        try:
            # It says whole seconds, of which some part may be over.
            at = parse_moment(noted["time"]) + 1.0
        except (LookupError, TypeError, ValueError):
            at = None
        return cls(
            name=str(noted.get("manager") or ""),
            operation=str(noted.get("operation") or ""),
            at=at,
            status=noted.get("subresource") == "status",
            fields=noted.get("fieldsV1") or {},
        )


class KubeClient(Protocol):
    """Kubernetes' own verbs, with its meaning of resourceVersion; its laws are tests.

    The status is the world's to write: in what is created or replaced it is ignored.
    """

    def get(self, ref: Ref) -> Object:
        """Read an object with its status. Raises NotFoundError."""
        ...

    def managers(self, ref: Ref) -> Sequence[Manager]:
        """Who has written an object, and when; in no order. Raises NotFoundError."""
        ...

    def create(self, obj: Object) -> Object:
        """Create an object. Raises ConflictError where it exists."""
        ...

    def replace(self, obj: Object) -> Object:
        """Replace it whole, if its resourceVersion is still the given one (else ConflictError)."""
        ...

    def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
        """JSON Patch (RFC 6902), all or nothing; a `test` that fails is a ConflictError."""
        ...

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply: what is named becomes so, what is no longer named goes.

        Fields that another field manager has set otherwise are a ConflictError, unless by `force`;
        what abctl itself has patched since is none.
        """
        ...

    def delete(self, ref: Ref, *, dry_run: bool = False) -> bool:
        """Delete it; gives whether it was there, which is no error if not."""
        ...

    def list(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        """The objects of a kind that have all of the labels, by name, with their status.

        Raises NotFoundError where the world does not know the kind.
        """
        ...

    def now(self) -> float:
        """The world's own clock (unix seconds), by which its ledger is written.

        Where it cannot be told from that of this machine, it is this machine's.
        """
        ...

    def may(self, verb: str, ref: Ref) -> bool:
        """Whether we may do this (get, list, create, patch, delete, ...) to it.

        What is asked about need not be there; of a part of it the kind is `Pod/status`.
        Raises NotFoundError where the kind is not known.
        """
        ...
