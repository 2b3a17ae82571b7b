"""The world that is changed, by one kind of client: a cluster, or the directory of a stack."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from abctl.core.change import Object, Ref

Operations = list[dict[str, Any]]  # of a JSON Patch


class KubeClient(Protocol):
    """Kubernetes' own verbs, with its meaning of resourceVersion; its laws are tests.

    The status is the world's to write: in what is created or replaced it is ignored.
    """

    def get(self, ref: Ref) -> Object:
        """Read an object with its status. Raises NotFoundError."""
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

        What is asked about need not be there. Raises NotFoundError where the kind is not known.
        """
        ...
