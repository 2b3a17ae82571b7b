"""Waiting with an end: no server and no program keeps us for ever.

The timeouts of a client are for one read each: who sends a byte now and then never exceeds them.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_pod() -> bool:
    """Whether this is a pod. It has an account; network policies may let it out seconds late."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What is answered, if it is in time.

    Raises:
        TimeoutError: it is not; who was asked is left to itself.
    """
    return begun(ask).result(seconds)


def begun(ask: Callable[[], T]) -> Future[T]:
    """What will be answered; who is asked has a thread that nobody waits for at the end."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer
