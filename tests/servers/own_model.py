"""A model of one's own, as somebody writes it for stock MLServer: tests put it into a folder."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import MLServerError
from mlserver.handlers.custom import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse

SLOW_SECONDS = 0.3
SOON_SECONDS = 0.05
LARGE = 18 * 1024 * 1024 // 8
HOLD = Path(__file__).with_name("hold")


class Own(MLModel):
    """Sums rows; the name of the first input says what else happens."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer, late, wrongly, or not at all."""
        first = payload.inputs[0]
        rows = self.decode(first, NumpyCodec)
        if first.name == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if first.name == "held":
            HOLD.with_name("held").touch()
            while HOLD.exists():  # noqa: ASYNC110 - a test says when
                await asyncio.sleep(SOON_SECONDS)
            await asyncio.sleep(SOON_SECONDS)
        if first.name == "busy":
            raise MLServerError("no room", 503)
        if first.name == "broken":
            raise RuntimeError("a fault of the model")
        if first.name == "dies":
            os._exit(1)
        if first.name == "large":
            many = np.full(LARGE, 12345678, dtype=np.int64)
            outputs = [NumpyCodec.encode_output("total", many)]
            return InferenceResponse(model_name=self.name, outputs=outputs)
        sums = np.asarray(rows).reshape(first.shape[0], -1).sum(axis=1).astype(np.int64)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            id=payload.id,
            outputs=[NumpyCodec.encode_output("total", sums)],
        )

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        """Answer each message three times."""
        async for payload in payloads:
            for i in range(3):
                name = payload.inputs[0].name
                if name == "breaks" and i == 2:
                    raise RuntimeError("a fault of the model")
                if name == "endless":
                    await asyncio.sleep(SOON_SECONDS * i)
                yield await self.predict(payload)
            while payload.inputs[0].name == "flood":
                yield await self.predict(payload)
            if payload.inputs[0].name == "endless":
                await asyncio.Event().wait()

    @custom_handler(rest_path="/explain")
    async def explain(self) -> dict[str, str]:
        """A path of its own."""
        return {"why": "because"}
