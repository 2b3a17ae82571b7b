"""One variant of an experiment: MLServer's scikit-learn runtime, with counters and feedback."""

from ab_runtime.runtime import ABRuntime

__all__ = ["ABRuntime"]
