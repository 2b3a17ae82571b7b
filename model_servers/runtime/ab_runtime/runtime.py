"""The runtime: MLServer's scikit-learn runtime as one variant of an experiment."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from fastapi import HTTPException, status
from mlserver import types
from mlserver.codecs import RequestCodecLike
from mlserver.errors import InferenceError, MLServerError
from mlserver.handlers.custom import custom_handler
from mlserver.utils import generate_uuid, to_absolute_path
from mlserver_sklearn import SKLearnModel
from numpy.typing import NDArray

from ab_runtime import artefact, plain
from ab_runtime.counters import counters_of
from ab_runtime.errors import StartError
from ab_runtime.feedback import Feedback
from ab_runtime.inputs import Inputs
from ab_runtime.linear import linear_predict
from ab_runtime.variant import RANDOMIZED, Variant


class ABRuntime(SKLearnModel):  # type: ignore[misc] # MLServer has no types
    """One variant: predicts, says which variant it is, counts, and takes feedback."""

    _has_served = False

    async def load(self) -> bool:
        """Check and load the model, and make the counters.

        A variant that cannot start ends the server; one that cannot be loaded again leaves the
        model that is already there.
        """
        try:
            self._variant = Variant.from_environment(os.environ)
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
        self._counters = counters_of(self._variant)
        classes = getattr(self._model, "classes_", None)
        if isinstance(classes, np.ndarray):
            self._counters.expect(classes.tolist())
        self._stamp = {"variant": self._variant.name}
        ABRuntime._has_served = True
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Answer one request and count it."""
        start_seconds = perf_counter()
        headers = (payload.parameters and payload.parameters.headers) or {}
        bucket = self._variant.bucket_of(headers, payload.id)
        code, predictions = "5xx", []
        try:
            response = await super().predict(payload)
            outputs = [each.data for each in response.outputs if each.name == "predict"]
            code, predictions = "2xx", [_class(value) for data in outputs for value in data]
        except MLServerError as error:
            if error.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR:
                code = "4xx"
            raise
        finally:
            self._count(headers, bucket, code, perf_counter() - start_seconds, predictions)
        response.parameters = types.Parameters(headers=self._headers(bucket), **self._stamp)
        return response

    def answer(
        self, request: Any, headers: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, str]] | None:
        """What `predict` answers, and its headers, as JSON; None if `predict` has to do it.

        That is so unless it is a plain request for a linear model, and right.
        """
        start_seconds = perf_counter()
        tensor = plain.tensor(request)
        if tensor is None:
            return None
        values = self._plain_predict(tensor["datatype"], tensor["shape"], tensor["data"])
        if values is None:
            return None
        request_id = request["id"] if "id" in request else generate_uuid()
        bucket = self._variant.bucket_of(headers, request_id)
        output = plain.output(values)
        self._count(headers, bucket, "2xx", perf_counter() - start_seconds, output["data"])
        named = {"model_name": self.name}
        if self.version is not None:
            named["model_version"] = self.version
        content = {**named, "id": request_id, "parameters": self._stamp, "outputs": [output]}
        return content, self._headers(bucket)

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
        except (ValueError, TypeError, OverflowError) as error:
            raise InferenceError(f"inputs that cannot be decoded: {error}") from error
        self._inputs.check(rows)
        return rows

    @custom_handler(rest_path="/feedback")  # type: ignore[untyped-decorator]
    async def feedback(self, feedback: Feedback) -> dict[str, bool]:
        """Count what happened after a prediction."""
        if feedback.variant != self._variant.name:
            raise _refused(f"variant {feedback.variant!r}: this server is {self._variant.name!r}")
        if feedback.outcome not in self._variant.outcomes:
            known = ", ".join(self._variant.outcomes) or "none (AB_OUTCOMES is empty)"
            raise _refused(f"outcome {feedback.outcome!r}: this server knows {known}")
        bucket = self._variant.bucket(feedback.user)
        counted = self._counters.outcome(bucket, feedback.outcome, feedback.value, feedback.id)
        return {"counted": counted}

    def _count(
        self,
        headers: Mapping[str, str],
        bucket: str,
        code: str,
        seconds: float,
        predictions: list[Any],
    ) -> None:
        self._counters.request(bucket, code)
        if headers.get(RANDOMIZED) != "false" and code != "4xx":
            self._counters.compared(seconds, predictions)

    def _headers(self, bucket: str) -> dict[str, str]:
        return {"x-ab-variant": self._variant.name, "x-ab-bucket": bucket}


def _class(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _refused(reason: str) -> HTTPException:
    return HTTPException(status.HTTP_422_UNPROCESSABLE_ENTITY, reason)
