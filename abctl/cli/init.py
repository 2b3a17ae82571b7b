"""`abctl init`: a first experiment file."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._output import put, say, tell
from abctl.errors import UsageError
from abctl.files import STDIN, as_argument

_NAME, _PLATFORM = "iris", "envoy"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    file: Annotated[Path, typer.Argument(help="The file to write; - is stdout.")] = Path(
        "experiment.yaml"
    ),
    *,
    name: Annotated[
        str | None,
        typer.Option(
            help="The name of the experiment.", show_default="iris; with --model, as the file"
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="A model of your own, a variant each, the first the control: a folder of MLServer "
            "or MLflow, .joblib, XGBoost's .json or .ubj, LightGBM's .txt.",
        ),
    ] = None,
    platform: Annotated[str, typer.Option(help="What carries the split.")] = _PLATFORM,
    outcome: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --model: what feedback tells of a prediction, and decides: accuracy, "
            "correct, absolute_error or squared_error.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented experiment file to start from, and its schema for editors.

    abctl init iris.yaml --name iris

    abctl init - --platform seldon | abctl lint -

    abctl init digits.yaml --model forest.joblib --model boosting.joblib --outcome accuracy
    """
    from abctl.spec.init import init as write  # noqa: PLC0415 - only when it runs
    from abctl.spec.init import starter  # noqa: PLC0415

    if model:
        _of_models(file, name, platform, model, outcome=outcome, force=force)
        return
    if outcome is not None:
        raise UsageError("--outcome without --model", "the first file has the outcome accuracy")
    if str(file) == STDIN:
        put(starter(_NAME if name is None else name, platform), nl=False)
        return
    for path in write(file, _NAME if name is None else name, platform, force=force):
        say(f"wrote {path}")
    say(f"next: edit it, then abctl lint {as_argument(file)}")


def _of_models(
    file: Path,
    name: str | None,
    platform: str,
    models: list[Path],
    *,
    outcome: str | None,
    force: bool,
) -> None:
    from abctl.spec.init_models import init_models  # noqa: PLC0415 - only when it runs

    if str(file) == STDIN:
        raise UsageError("- is stdout, but --model writes folders too", "name a file")
    if platform != _PLATFORM:
        raise UsageError(
            f"--platform {platform}: --model writes an experiment of the local stack, an Envoy",
            "leave out one of the two",
        )
    written = init_models(file, name, models, outcome=outcome, force=force)
    for path in written.files:
        say(f"wrote {path}")
    for remark in written.remarks:
        tell(remark)
    say(f"next: abctl local up {as_argument(file)}")
