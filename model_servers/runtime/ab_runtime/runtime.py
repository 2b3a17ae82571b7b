"""The runtime: MLServer's scikit-learn runtime as one variant of an experiment."""

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from fastapi import HTTPException, status
from mlserver import types
from mlserver.codecs import RequestCodecLike
from mlserver.codecs.numpy import to_datatype
from mlserver.errors import InferenceError, MLServerError
from mlserver.handlers.custom import custom_handler
from mlserver.utils import to_absolute_path
from mlserver_sklearn import SKLearnModel

from ab_runtime import artefact
from ab_runtime.counters import counters_of
from ab_runtime.errors import StartError
from ab_runtime.feedback import Feedback, Seen
from ab_runtime.linear import linear_predict
from ab_runtime.variant import NO_BUCKET, Variant

_FLOATS = {"FP32": np.float32, "FP64": np.float64}


class ABRuntime(SKLearnModel):  # type: ignore[misc] # MLServer has no types
    """One variant: predicts, says which variant it is, counts, and takes feedback."""

    _served = False

    async def load(self) -> bool:
        """Check and load the model, and make the counters."""
        try:
            self._variant = Variant.from_environment(os.environ)
            uri = (self.settings.parameters and self.settings.parameters.uri) or "model.joblib"
            self._model = artefact.load(Path(to_absolute_path(self.settings, uri)))
        except StartError as error:
            if ABRuntime._served:
                raise MLServerError(str(error)) from error
            raise SystemExit(f"error: {error}") from None
        self._features: int = self._model.n_features_in_
        self._linear = linear_predict(self._model)
        self._counters = counters_of(self._variant)
        self._counters.expect(getattr(self._model, "classes_", ()))
        self._seen = Seen()
        ABRuntime._served = True
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Answer one request and count it."""
        start = perf_counter()
        headers = (payload.parameters and payload.parameters.headers) or {}
        randomized = headers.get("x-ab-randomized") != "false"
        unit = headers.get(self._variant.key) if randomized else None
        bucket = self._variant.bucket(unit)
        code = "5xx"
        try:
            response = self._predict_linear(payload) or await super().predict(payload)
            code = "2xx"
        except MLServerError as error:
            code = "4xx" if error.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR else "5xx"
            raise
        finally:
            self._counters.request(bucket, code, perf_counter() - start)
        response.parameters = types.Parameters(
            headers={"x-ab-variant": self._variant.name, "x-ab-bucket": bucket},
            variant=self._variant.name,
        )
        return response

    def _predict_linear(self, payload: types.InferenceRequest) -> types.InferenceResponse | None:
        if self._linear is None or len(payload.inputs) != 1 or payload.outputs:
            return None
        tensor = payload.inputs[0]
        if tensor.datatype not in _FLOATS or tensor.parameters:
            return None
        rows = self._checked(self._array(tensor))
        labels = self._linear(rows)
        values = labels.tolist()
        self._counters.predicted(values)
        return types.InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[
                types.ResponseOutput(
                    name="predict",
                    shape=[len(values), 1],
                    datatype=to_datatype(labels.dtype),
                    data=values,
                    parameters=types.Parameters(content_type="np"),
                )
            ],
        )

    def _array(self, tensor: types.RequestInput) -> Any:
        try:
            return np.array(tensor.data.root, _FLOATS[tensor.datatype]).reshape(tensor.shape)
        except (ValueError, TypeError) as error:
            raise InferenceError(f"input {tensor.name!r}: {error}") from None

    def decode_request(
        self, inference_request: types.InferenceRequest, default_codec: RequestCodecLike = None
    ) -> Any:
        """Decode the inputs; whatever the client got wrong in them is a 400."""
        try:
            rows = super().decode_request(inference_request, default_codec)
        except (ValueError, TypeError) as error:
            raise InferenceError(f"inputs of {self.name}: {error}") from None
        return self._checked(rows)

    def _checked(self, rows: Any) -> Any:
        if rows.ndim != 2 or rows.shape[1] != self._features or not len(rows):
            raise InferenceError(
                f"{self.name} takes shape [rows, {self._features}], got {list(rows.shape)}"
            )
        if not np.isfinite(rows).all():
            raise InferenceError(f"{self.name} takes finite numbers only")
        return rows

    @custom_handler(rest_path="/feedback")  # type: ignore[untyped-decorator]
    async def feedback(self, feedback: Feedback) -> dict[str, bool]:
        """Count what happened after a prediction."""
        if feedback.variant != self._variant.name:
            raise _refused(f"variant {feedback.variant!r}: this is {self._variant.name!r}")
        if feedback.outcome not in self._variant.outcomes:
            known = ", ".join(self._variant.outcomes) or "none"
            raise _refused(f"outcome {feedback.outcome!r}: must be one of AB_OUTCOMES ({known})")
        if feedback.id is not None and not self._seen.add(feedback.outcome, feedback.id):
            self._counters.duplicate()
            return {"counted": False}
        self._counters.outcome(
            self._variant.bucket(feedback.user), feedback.outcome, feedback.value
        )
        return {"counted": True}


def _refused(reason: str) -> HTTPException:
    return HTTPException(status.HTTP_422_UNPROCESSABLE_ENTITY, reason)
