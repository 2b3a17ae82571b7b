"""The model's file: checked before it is unpickled, because unpickling runs what is inside."""

import hashlib
import io
from pathlib import Path

import joblib
from sklearn.base import BaseEstimator

from ab_runtime.errors import StartError

_BOTH = "write both: the model, and its SHA-256 as `sha256sum` prints it"


def load(path: Path) -> BaseEstimator:
    """The estimator in `path`, whose SHA-256 must be that in `<path>.sha256`, where there is one.

    What is checked are the very bytes that are unpickled, so that no change in between is missed.

    Raises:
        StartError: the file is missing, it does not fit its checksum, or there is no estimator.
    """
    checksum = path.with_name(path.name + ".sha256")
    if not path.is_file():
        raise StartError(f"{path} is missing; {_BOTH}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    wanted = [found]
    if checksum.exists():
        wanted = checksum.read_text(encoding="utf-8").split()[:1]
    if wanted != [found]:
        raise StartError(
            f"{path} was altered: its SHA-256 is {found}, but {checksum.name} says "
            f"{' '.join(wanted) or 'nothing'}; {_BOTH}"
        )
    try:
        model = joblib.load(io.BytesIO(content))
    except Exception as error:
        raise StartError(f"{path} cannot be unpickled here ({error}); {_BOTH}, here") from error
    if not isinstance(model, BaseEstimator):
        raise StartError(f"{path} holds a {type(model).__name__}, must be a scikit-learn estimator")
    return model
