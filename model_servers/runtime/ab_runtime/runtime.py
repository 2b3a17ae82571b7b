"""The runtime: MLServer's scikit-learn runtime, with checks and a short way."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from mlserver import types
from mlserver.codecs import RequestCodecLike
from mlserver.errors import InferenceError, MLServerError
from mlserver.utils import to_absolute_path
from mlserver_sklearn import SKLearnModel
from numpy.typing import NDArray

from ab_runtime import artefact, plain
from ab_runtime.errors import StartError, cut
from ab_runtime.inputs import Inputs
from ab_runtime.linear import linear_predict


class ABRuntime(SKLearnModel):  # type: ignore[misc] # MLServer has no types
    """scikit-learn's models: checked files, quick plain answers, and reasons for what is refused.

    Like any other runtime it knows nothing of variants: what is around the server counts.
    """

    _has_served = False

    async def load(self) -> bool:
        """Check and load the model.

        A model that cannot start ends the server; one that cannot be loaded again leaves the one
        that is already there.
        """
        try:
            uri = (self.settings.parameters and self.settings.parameters.uri) or "model.joblib"
            self._model = artefact.load(Path(to_absolute_path(self.settings, uri)))
        except StartError as error:
            if ABRuntime._has_served:
                raise MLServerError(str(error)) from error
            # Every part of MLServer would log a traceback of its own on the way down.
            logging.disable()
            raise SystemExit(f"error: {error}") from None
        self._inputs = Inputs.of(self._model)
        self._linear = linear_predict(self._model)
        ABRuntime._has_served = True
        return True

    @property
    def short(self) -> bool:
        """Whether `answer` may answer anything."""
        return self._linear is not None

    def answer(self, request: Any) -> tuple[dict[str, Any], list[Any]] | None:
        """What `predict` answers, as JSON, and its predictions; None if `predict` has to do it.

        That is so unless it is a plain request for a linear model, and right.
        """
        tensor = plain.tensor(request)
        if tensor is None:
            return None
        values = self._plain_predict(tensor["datatype"], tensor["shape"], tensor["data"])
        if values is None:
            return None
        request_id = request["id"] if "id" in request else plain.request_id()
        output = plain.output(values)
        named = {"model_name": self.name}
        if self.version is not None:
            named["model_version"] = self.version
        content = {**named, "id": request_id, "parameters": {}, "outputs": [output]}
        return content, output["data"]

    def _get_model_outputs(self, payload: types.InferenceRequest) -> list[types.ResponseOutput]:
        # Reached for gRPC, or with another server in front than ours.
        if len(payload.inputs) == 1 and [each.name for each in payload.outputs] == ["predict"]:
            tensor, wanted = payload.inputs[0], payload.outputs[0]
            if not (tensor.parameters or wanted.parameters):
                values = self._plain_predict(tensor.datatype, tensor.shape, tensor.data.root)
                if values is not None:
                    return [types.ResponseOutput(**plain.output(values))]
        for each in payload.outputs:
            if not hasattr(self._model, each.name):
                raise InferenceError(
                    f"output {each.name!r}: a {type(self._model).__name__} has none"
                )
        return list(super()._get_model_outputs(payload))

    def _plain_predict(self, datatype: str, shape: list[int], data: Any) -> NDArray[Any] | None:
        if self._linear is None:
            return None
        rows = self._inputs.plain(datatype, shape, data)
        return None if rows is None else self._linear(rows)

    def decode_request(
        self,
        inference_request: types.InferenceRequest,
        default_codec: RequestCodecLike | None = None,
    ) -> Any:
        """Decode the inputs.

        Raises:
            InferenceError: whatever the client got wrong in them (a 400).
        """
        try:
            with np.errstate(over="ignore"):  # what overflows is infinite, and refused
                rows = super().decode_request(inference_request, default_codec)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise InferenceError(cut(f"inputs that cannot be decoded: {error}")) from error
        self._inputs.check(rows)
        return rows
