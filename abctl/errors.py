"""Every error that a user can meet, as one tree.

    AbctlError                  exit  base; never raised itself
    ├── UsageError               2    a wrong option, argument or command
    ├── SpecError                2    a wrong experiment file, or what its platform cannot express
    ├── ClusterError             5    the world that is changed (a cluster or the local stack)
    │   ├── NotFoundError             no such object
    │   │   └── NoPlaceError           nor its kind, or its namespace
    │   ├── ConflictError             somebody else changed it first
    │   ├── NewerFormError            the ledger is of a newer abctl
    │   ├── UnreachableError          no answer from the API server or the local stack
    │   └── NotReadyError             it did not become ready or programmed in time
    ├── SourceError              6    the evidence cannot be read or cannot be trusted
    │   └── SourceAwayError           its source does not answer now, and may later
    └── Interrupted            130    the user ended it

The command line prints `error: <message>` and `hint: <hint>` and exits with `exit_code`.
What the system refuses (a file, memory) is exit 2, Ctrl-C 130; anything else that escapes is a bug
(exit 1).
"""

# What `abctl analyze --exit-code` exits with, by verdict.
EXIT_CODES = {"ship": 0, "continue": 10, "stop": 11, "invalid": 12}
# In a hint it stands for the experiment file; the command line puts there what the user named.
FILE_OF_USER = "EXPERIMENT"


class AbctlError(Exception):
    """An error for a user: one message with place and value, one hint with the next step.

    There is none without a hint: whoever is told what is wrong is told what to do.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AbctlError):
    """An option or argument that makes no sense."""

    exit_code = 2


class SpecError(AbctlError):
    """An experiment that is wrong, or that its platform cannot express."""

    exit_code = 2


class ClusterError(AbctlError):
    """The cluster or the local stack refused, failed or is not there."""

    exit_code = 5


class NotFoundError(ClusterError):
    """The object does not exist."""


class NoPlaceError(NotFoundError):
    """Its kind or its namespace does not exist, so nobody can make it just like that."""


class ConflictError(ClusterError):
    """The object was changed by somebody else since it was read."""


class NewerFormError(ClusterError):
    """What is written there is of a newer abctl, which alone understands it."""


class UnreachableError(ClusterError):
    """Nothing answered."""


class NotReadyError(ClusterError):
    """Something did not become ready, or a change was not programmed, in time."""


class SourceError(AbctlError):
    """Evidence that cannot be read, or that contradicts itself."""

    exit_code = 6


class SourceAwayError(SourceError):
    """The source does not answer now; the same question may have an answer later."""


class Interrupted(AbctlError):  # noqa: N818 - it is no error of anybody's
    """The user pressed Ctrl-C."""

    exit_code = 130
