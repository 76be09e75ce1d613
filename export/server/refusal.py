"""Why a request is refused, in the codes of gRPC and of HTTP."""

from __future__ import annotations

# gRPC's names and the HTTP status that TF Serving's REST interface gives each.
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class Refusal(Exception):
    """A request that isn't answered; its text goes to the client, and names no path of this machine.

    ``code`` is a key of ``HTTP_STATUS``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> Refusal:
    """Returns the refusal of a request that will never be right."""
    return Refusal("INVALID_ARGUMENT", message)
