"""The model's file: checked before it is unpickled, because unpickling runs what is inside."""

import hashlib
import io
from pathlib import Path
from typing import Any

import joblib

from ab_runtime.errors import StartError


def load(path: Path) -> Any:
    """The estimator in `path`, whose SHA-256 must be the one in `<path>.sha256` beside it.

    What is checked are the very bytes that are unpickled, so that no change in between is missed.

    Raises:
        StartError: one of the two files is missing, or they do not fit.
    """
    checksum = path.with_name(path.name + ".sha256")
    for file in (path, checksum):
        if not file.is_file():
            raise StartError(f"{file} is missing: run `make models`")
    content = path.read_bytes()
    wanted = checksum.read_text(encoding="utf-8").split()[:1]
    found = hashlib.sha256(content).hexdigest()
    if wanted != [found]:
        raise StartError(
            f"{path} was altered: its SHA-256 is {found}, {checksum.name} says "
            f"{' '.join(wanted) or 'nothing'}; if you trust it no more, run `make models`"
        )
    return joblib.load(io.BytesIO(content))
