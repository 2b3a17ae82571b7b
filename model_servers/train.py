"""Train the example models: v1 and v2, alike on held-out flowers, and v3, worse and slower."""

import argparse
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = 42


def train() -> list[tuple[str, str, Any, float]]:
    """(version, what it is, fitted model, accuracy on the 30% held out), for each version."""
    rows, labels = load_iris(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        rows, labels, test_size=0.3, stratify=labels, random_state=SEED
    )
    wrong = y_train.copy()
    rng = np.random.default_rng(SEED)
    shuffled = rng.choice(len(wrong), size=len(wrong) // 2, replace=False)
    wrong[shuffled] = rng.permutation(wrong[shuffled])
    forest = RandomForestClassifier(20, random_state=SEED)
    return [
        (version, what, model.fit(x_train, y), float(model.score(x_test, y_test)))
        for version, what, model, y in (
            ("v1", "LogisticRegression(C=1)", LogisticRegression(max_iter=1000), y_train),
            (
                "v2",
                "LogisticRegression(C=0.03)",
                LogisticRegression(C=0.03, max_iter=1000),
                y_train,
            ),
            ("v3", "20 trees, half of the labels shuffled", forest, wrong),
        )
    ]


def save(model: Any, folder: Path) -> None:
    """Write model.joblib and its SHA-256 (as `sha256sum -c` reads it) into the folder."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "model.joblib", content)
    line = f"{hashlib.sha256(content).hexdigest()}  model.joblib\n"
    _write(folder / "model.joblib.sha256", line.encode())


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def main() -> None:
    """Train, save, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    print(f"{'version':<8} {'test accuracy':>13}  model")
    for version, what, model, accuracy in train():
        save(model, folder / version)
        print(f"{version:<8} {accuracy:>13.1%}  {what}")


if __name__ == "__main__":
    main()
