"""`python -m ab_runtime.collector FILE`: takes what happened after predictions, and counts it.

A small process of its own. It checks tokens, remembers each report until its prediction has
reached the outcome's maturity, counts it once, whatever server or retry it came by, and keeps
everything in a SQLite file, so that a restart loses and repeats nothing.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from ab_runtime.collector.outcome import Item, Outcome
from ab_runtime.collector.page import Page
from ab_runtime.collector.settings import Settings
from ab_runtime.collector.store import Store, Told
from ab_runtime.collector.turns import Turns
from ab_runtime.errors import StartError
from ab_runtime.token import SIGNATURE, Keys, TokenError

_MOST_ITEMS = 1000
_LARGEST_BODY = 1 << 20
_UNPROCESSABLE = 422


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Report(_Strict):
    """What happened after a prediction; `at` is when, in seconds since 1970 (now, if missing)."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=600)]
    outcome: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    value: FiniteFloat
    id: Annotated[str, StringConstraints(max_length=200)] = ""
    at: Annotated[FiniteFloat | None, Field(ge=0, le=1e11)] = None


class Reports(_Strict):
    """Many at once."""

    items: Annotated[list[Report], Field(min_length=1, max_length=_MOST_ITEMS)]


class Exposures(_Strict):
    """Units that a server answered: keyed hash, bucket, first answer in milliseconds."""

    variant: str
    units: Annotated[list[tuple[str, str, int]], Field(max_length=100_000)]


@dataclass(eq=False)
class Collector:
    """The store behind its two doors."""

    settings: Settings
    keys: Keys
    store: Store

    def __post_init__(self) -> None:
        # Of an outcome that is counted at several ages, only one is reported.
        self._outcomes = {o.name: o.outcome for o in self.settings.outcomes if not o.of}
        self._page = Page(self.settings, self.store)
        self._turns = Turns(self.store, _now_ms)

    async def report(self, reports: list[Report]) -> list[dict[str, Any]]:
        """What became of each report."""
        now_ms = _now_ms()
        results: list[dict[str, Any]] = [{} for _ in reports]
        items: list[tuple[int, Item]] = []
        refused = Counter[str]()
        for i, report in enumerate(reports):
            found = self._checked(report, now_ms)
            if isinstance(found, Item):
                items.append((i, found))
            else:
                what, reason = found
                refused[what] += 1
                results[i] = {"counted": False, "refused": reason}

        def take(now_ms: int) -> list[Told]:
            for what, n in refused.items():
                self.store.refuse(what, n)
            return self.store.take([item for _, item in items], now_ms)

        told = await self._turns.do(take)
        for (i, _), what in zip(items, told, strict=True):
            results[i] = {"counted": what == "counted", **_explained(what)}
        return results

    async def expose(self, found: Exposures) -> int:
        """Remember who was answered; how many came too late to be counted."""
        return await self._turns.do(
            lambda now_ms: self.store.expose(found.variant, found.units, now_ms)
        )

    async def page(self) -> bytes:
        """The metrics page."""

        def written(now_ms: int) -> bytes:
            self.store.release(now_ms)
            return self._page.text()

        return await self._turns.do(written)

    def _checked(self, report: Report, now_ms: int) -> Item | tuple[str, str]:
        outcome: Outcome | None = self._outcomes.get(report.outcome)
        if outcome is None:
            known = ", ".join(self._outcomes) or "none"
            return "outcome", f"outcome {report.outcome!r} is not declared; declared: {known}"
        if outcome.kind == "return":
            return (
                "outcome",
                f"outcome {report.outcome!r} is not reported: servers tell who returns",
            )
        if reason := outcome.refusal(report.value, report.id):
            return "value", f"{reason}: {report.value:g}"
        try:
            token = self.keys.read(report.token)
        except TokenError as error:
            return "token", f"token: {error}"
        if token.variant not in self.settings.variants:
            return "token", "token: of a variant that is not in this experiment"
        at_ms = now_ms if report.at is None else round(report.at * 1000)
        return Item(token, outcome, report.value, report.id, at_ms)


def app(collector: Collector) -> FastAPI:
    """The collector as a web application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        collector.store.close()

    api = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @api.post("/feedback")
    async def feedback(request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, dict) and "items" in body:
            found = _valid(Reports, body).items
            return _answer(200, {"items": await collector.report(found)})
        (result,) = await collector.report([_valid(Report, body)])
        return _answer(_UNPROCESSABLE if "refused" in result else 200, result)

    @api.post("/exposures")
    async def exposures(request: Request) -> dict[str, float]:
        raw = await _raw(request)
        if not collector.keys.signed(raw, request.headers.get(SIGNATURE, "")):
            raise HTTPException(403, "not signed by a server of this experiment")
        found = _valid(Exposures, _json(raw))
        if found.variant not in collector.settings.variants:
            raise HTTPException(_UNPROCESSABLE, "variant is not in this experiment")
        again_ms = collector.store.again_ms
        again = {} if again_ms is None else {"againSeconds": again_ms / 1000}
        return {"late": await collector.expose(found), **again}

    @api.get("/metrics")
    async def metrics() -> Response:
        return Response(await collector.page(), media_type=CONTENT_TYPE_LATEST)

    @api.get("/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    return api


async def _raw(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _LARGEST_BODY:
            raise HTTPException(413, f"a body has at most {_LARGEST_BODY} bytes")
        parts.append(part)
    return b"".join(parts)


async def _body(request: Request) -> Any:
    return _json(await _raw(request))


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None


_Form = TypeVar("_Form", bound=BaseModel)


def _valid(form: type[_Form], body: Any) -> _Form:
    try:
        return form.model_validate_json(json.dumps(body))
    except (ValidationError, RecursionError) as error:
        faults = error.errors(include_input=False) if isinstance(error, ValidationError) else []
        told = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in faults[:5]]
        raise HTTPException(
            _UNPROCESSABLE, "; ".join(told) or "the body is nested too deep"
        ) from None


def _explained(what: str) -> dict[str, str]:
    reasons = {
        "duplicate": "reported before",
        "early": "its prediction is of the future: the clocks differ by more than a minute",
        "late": "its prediction is older than the outcome's maturity",
        "lost": "its prediction is older than the collector's memory",
    }
    if what in ("counted", "duplicate"):
        return {"duplicate": reasons[what]} if what == "duplicate" else {}
    return {"refused": reasons[what]}


def _answer(status: int, content: Any) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Run the collector until a signal comes."""
    parser = argparse.ArgumentParser(prog="ab-collector", description=__doc__)
    parser.add_argument("settings", type=Path, help="a JSON file")
    try:
        settings = Settings.from_file(parser.parse_args().settings)
        keys = Keys.from_file(settings.keys)
    except StartError as error:
        raise SystemExit(f"error: {error}") from None
    outcomes = {each.name: each.outcome for each in settings.outcomes}
    store = Store(settings.memory, outcomes, _now_ms())
    collector = Collector(settings, keys, store)
    uvicorn.run(app(collector), host=settings.host, port=settings.port, log_level="warning")


if __name__ == "__main__":
    main()
