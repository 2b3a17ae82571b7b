"""Whose mistake an error is: what a client got wrong is 400 with the reason, whatever the runtime.

MLServer answers 500 to most of them, and a variant's errors would move with its clients'. It is
installed where this module's user is imported again: in the server, and in each of its workers.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from types import FrameType
from typing import Any, TypeGuard

from mlserver import MLModel, types
from mlserver.errors import InferenceError, MLServerError
from mlserver.registry import MultiModelRegistry

from ab_runtime.errors import cut

_Predict = Callable[[types.InferenceRequest], Awaitable[types.InferenceResponse]]
_WRONG_CONTENT = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
_MARK = "_answers_mistakes"


def install() -> None:
    """Let models of any runtime answer mistakes of clients as such."""
    if getattr(MLModel, _MARK, False):
        return
    setattr(MLModel, _MARK, True)
    for name in ("decode", "decode_request"):
        setattr(MLModel, name, _decoding(getattr(MLModel, name)))
    MLModel.encode = _encoding(MLModel.encode)
    MultiModelRegistry.load = _loading(MultiModelRegistry.load)


def _decoding(decode: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(decode)
    def decoded(*args: Any, **named: Any) -> Any:
        try:
            return decode(*args, **named)
        except MLServerError:
            raise
        except _WRONG_CONTENT as error:
            raise InferenceError(cut(f"inputs that cannot be decoded: {error}")) from error

    return decoded


def _encoding(encode: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(encode)
    def encoded(
        self: MLModel, payload: Any, request_output: types.RequestOutput, *args: Any, **named: Any
    ) -> Any:
        try:
            return encode(self, payload, request_output, *args, **named)
        except _WRONG_CONTENT as error:
            asked = request_output.parameters and request_output.parameters.content_type
            if not asked:
                raise
            raise InferenceError(
                cut(f"output {request_output.name!r} as {asked!r}: it cannot be that ({error})")
            ) from error

    return encoded


def _loading(load: Callable[..., Awaitable[MLModel]]) -> Callable[..., Awaitable[MLModel]]:
    @wraps(load)
    async def loaded(*args: Any, **named: Any) -> MLModel:
        model = await load(*args, **named)
        model.predict = _predicting(model.predict)
        return model

    return loaded


def _predicting(predict: _Predict) -> _Predict:
    @wraps(predict)
    async def predicted(payload: types.InferenceRequest) -> types.InferenceResponse:
        try:
            return await predict(payload)
        except MLServerError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            if _lacks(error, payload):
                raise InferenceError(cut(f"output {error.name!r}: {error}")) from error
            if _about_inputs(error):
                raise InferenceError(cut(f"inputs that the model refuses: {error}")) from error
            raise

    return predicted


def _lacks(error: BaseException, payload: types.InferenceRequest) -> TypeGuard[AttributeError]:
    """Whether the model has no method of the name of an output that was asked for."""
    asked = {each.name for each in payload.outputs or ()}
    return isinstance(error, AttributeError) and error.name in asked


def _about_inputs(error: BaseException) -> bool:
    """Whether scikit-learn refused the very inputs that it was given.

    What a first step of a model made of them, and a second one refuses, is the model's fault.
    """
    frames = [each for each in _frames(error) if _module(each).startswith("sklearn.")]
    if not frames:
        return False
    given = frames[0].f_locals.get("X")
    for frame in frames:
        name = frame.f_code.co_name
        if _module(frame) == "sklearn.utils.validation":
            if name in ("_check_n_features", "_check_feature_names"):
                return True
            if given is not None and frame.f_locals.get("array_orig") is given:
                return True
    return _module(frames[-1]) == "sklearn.feature_extraction.text"


def _frames(error: BaseException) -> Iterator[FrameType]:
    at = error.__traceback__
    while at is not None:
        yield at.tb_frame
        at = at.tb_next


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
