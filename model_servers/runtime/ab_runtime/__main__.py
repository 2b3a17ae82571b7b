"""`ab-runtime FOLDER`: what `mlserver start FOLDER` does, and every answer is counted."""

import argparse
import asyncio
import os
import socket
from contextlib import nullcontext
from dataclasses import replace
from hashlib import blake2b

from mlserver import MLServer, ModelSettings, Settings
from mlserver.cli.serve import load_settings
from mlserver.logging import configure_logger
from mlserver.utils import install_uvloop_event_loop

from ab_runtime import mistakes
from ab_runtime.calls import Counting
from ab_runtime.collecting import Collecting
from ab_runtime.errors import StartError
from ab_runtime.inside import install
from ab_runtime.predictions import Asked, Log
from ab_runtime.variant import Limits, Variant

# Workers import this module anew, and nothing else of the server's.
mistakes.install()


async def serve(folder: str) -> None:
    """Serve the models in a folder until a signal comes."""
    try:
        variant = Variant.from_environment(os.environ)
        limits = Limits.from_environment(os.environ)
        collecting = Collecting.from_environment(os.environ, variant.name)
        asked = Asked.from_environment(os.environ)
        if collecting:  # which counts them
            variant = replace(variant, outcomes={})
    except StartError as error:
        raise SystemExit(f"error: {error}") from None
    settings, models = await load_settings(folder)
    if not models:
        raise SystemExit(f"error: {folder}: no model-settings.json in it or below")
    _check_ports(settings)
    counting = Counting(variant, _others(variant, models), collecting)
    log = _log(asked, counting) if asked else None
    server = MLServer(settings)
    install(server, counting, limits)
    try:
        async with collecting.running() if collecting else nullcontext():
            await server.start(models)
    finally:
        if log:
            log.close()


def _log(asked: Asked, counting: Counting) -> Log:
    """The log of predictions; units have the hash that tokens have, where there are any."""
    variant, collecting = counting.variant, counting.collecting
    key = collecting.unit_key if collecting else blake2b(variant.salt.encode()).digest()
    try:
        counting.log = Log(asked, variant.salt, key, counting.counters.log_lines())
    except StartError as error:
        raise SystemExit(f"error: {error}") from None
    return counting.log


def _others(variant: Variant, models: list[ModelSettings]) -> set[str]:
    names = {each.name for each in models}
    if variant.models is None:
        return set()
    missing = ", ".join(set(variant.models) - names)
    if missing:
        raise SystemExit(f"error: AB_MODELS: no {missing} here, only {', '.join(sorted(names))}")
    return names - set(variant.models)


def _check_ports(settings: Settings) -> None:
    # gRPC would share a taken port in silence, and HTTP would hide the reason in tracebacks.
    for name in ("http_port", "grpc_port", "metrics_port"):
        port = getattr(settings, name)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise SystemExit(
                    f"error: {name} {settings.host}:{port}: {error.strerror}"
                ) from None


def main() -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(prog="ab-runtime", description=__doc__)
    parser.add_argument("folder", help="with settings.json and model-settings.json")
    configure_logger()
    install_uvloop_event_loop()
    asyncio.run(serve(parser.parse_args().folder))


if __name__ == "__main__":
    main()
