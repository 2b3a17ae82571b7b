"""Statements that take long: how far they are, and that they end in the engine."""

import threading

import pytest

from abctl.errors import SourceError
from abctl.tables.engine import adder
from abctl.tables.running import Running
from abctl.tables.warehouse import Warehouse

# More than any machine does before it is interrupted.
ENDLESS = "SELECT SUM(HASH(a.range * b.range)) FROM range(10000000) a, range(10000000) b"


def test_whoever_is_interrupted_has_the_engine_end_its_statement() -> None:
    def interrupted(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    running = Running()
    with adder({}, running=running) as engine:
        running.told = interrupted
        with pytest.raises(KeyboardInterrupt):
            engine.rows(ENDLESS)
        running.told = lambda _done, _of: None
        assert engine.rows("SELECT 42") == [(42,)]  # it is free again


def test_it_is_heard_how_far_a_statement_is() -> None:
    heard: list[tuple[int, int]] = []
    running = Running(lambda done, of: heard.append((done, of)))
    with adder({}, running=running) as engine:
        running.expects(3)
        many = "SELECT COUNT(DISTINCT HASH(range)) FROM range(10000000)"
        engine.rows(many)
        engine.rows("SELECT 1")
    assert heard[-1] == (200, 300)
    assert (100, 300) in heard
    assert heard == sorted(heard)
    with pytest.raises(SourceError, match="nowhere"), adder({}, running=running) as engine:
        engine.rows("SELECT * FROM nowhere")


class Driver:
    """A driver whose cursors can be cancelled, and wait until they are."""

    description = ("n",)

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cursor(self) -> "Driver":
        return self

    def execute(self, _statement: str) -> None:
        self.cancelled.wait()
        raise RuntimeError("cancelled")

    def cancel(self) -> None:
        self.cancelled.set()


def test_what_a_driver_has_to_cancel_with_is_called() -> None:
    def interrupted(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    driver = Driver()
    with pytest.raises(KeyboardInterrupt):
        Warehouse(driver, "there", Running(interrupted)).rows("SELECT 1")
    assert driver.cancelled.is_set()
