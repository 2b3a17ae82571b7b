"""`ab-runtime FOLDER`: what `mlserver start FOLDER` does, with the short way in front."""

import argparse
import asyncio
import socket

from mlserver import MLServer, Settings
from mlserver.cli.serve import load_settings
from mlserver.logging import configure_logger
from mlserver.utils import install_uvloop_event_loop

from ab_runtime import short_way


async def serve(folder: str) -> None:
    """Serve the models in a folder until a signal comes."""
    settings, models = await load_settings(folder)
    if not models:
        raise SystemExit(f"error: {folder}: no model-settings.json in it or below")
    _check_ports(settings)
    server = MLServer(settings)
    short_way.add(server)
    await server.start(models)


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
