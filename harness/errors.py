"""Everything that can go wrong, as one tree; a difference found on a node is not in it.

::

    HarnessError
    ├── UsageError         the caller's mistake: options, inventory, tape (exit 4)
    ├── ObservationError   a node could not be looked at: the outcome is `unknown`
    │   ├── Unreachable        no usable connection
    │   │   └── Refused            the login was refused; trying again could get us banned
    │   ├── MissingTool        the node lacks the program that the question needs
    │   ├── TimeLimit          the answer did not come in time
    │   ├── NoAnswer           an address of the cluster gave no answer in HTTP
    │   └── EngineError        the Docker engine answered with an error
    ├── RepairError        a change was tried and refused or failed
    └── LabError           the embedded lab cannot be built, started or stopped

Each message is one sentence that names the place, what was tried and what came back.
"""


class HarnessError(Exception):
    """Root of every error this project raises on purpose; `str()` of it is fit for a person."""


class UsageError(HarnessError):
    """The caller asked for something that cannot be done as written; nothing was contacted."""


class ObservationError(HarnessError):
    """A look at a node gave no answer, so nothing may be concluded from it.

    `via` names the node whose failure is the real reason (the controller, when it is the way
    to the node that was asked), or is empty.
    """

    def __init__(self, message: str, *, via: str = "") -> None:
        super().__init__(message)
        self.via = via


class Unreachable(ObservationError):
    """No usable connection: down, refused, silent, talking nonsense, or not who it claims to be."""


class Refused(Unreachable):
    """The node does not let us log in; a run never tries this twice, because fail2ban counts."""


class MissingTool(ObservationError):
    """The program that answers the question is not installed on the node."""


class TimeLimit(ObservationError):
    """The node accepted the question and did not answer within the limit."""


class NoAnswer(ObservationError):
    """An address of the cluster was asked, and what came is no answer in HTTP: refused, silent, cut off, or garbage.

    That is a fact about the address, unlike every other ObservationError; a step may judge it.
    """


class EngineError(ObservationError):
    """The Docker engine of a node answered with an error; `status` is that of HTTP."""

    def __init__(self, message: str, status: int = 0, *, via: str = "") -> None:
        super().__init__(message, via=via)
        self.status = status


class RepairError(HarnessError):
    """A change to a node was refused or failed; the node keeps what it had before."""


class LabError(HarnessError):
    """The lab cannot do what was asked, with the missing privilege, feature or file named."""
