"""Errors as Kubernetes says them: Status objects over REST, kubectl's sentences on a console."""

from typing import Any

from minipod.errors import (
    AlreadyExists,
    BadManifest,
    Conflict,
    ImageInUse,
    ImageNotFound,
    Invalid,
    InvalidImageName,
    MinipodError,
    NotAnImage,
    NotFound,
    Unreachable,
)


class BadRequest(MinipodError):
    """The request can't be served as things are: a log of a container that never ran."""


class BadQuery(BadRequest):
    """The request itself makes no sense: an unknown output format, a number that is none."""


class Several(BadRequest):
    """More than one thing is wrong with a manifest; the text is a line or more for each."""


class Gone(MinipodError):
    """The resourceVersion asked for is too old: list again."""


_REASONS: tuple[tuple[type[MinipodError], int, str], ...] = (
    (NotFound, 404, "NotFound"),
    (ImageNotFound, 404, "NotFound"),
    (AlreadyExists, 409, "AlreadyExists"),
    (Conflict, 409, "Conflict"),
    (ImageInUse, 409, "Conflict"),
    (Invalid, 422, "Invalid"),
    (BadManifest, 400, "BadRequest"),
    (BadRequest, 400, "BadRequest"),
    (InvalidImageName, 400, "BadRequest"),
    (NotAnImage, 400, "BadRequest"),
    (Gone, 410, "Expired"),
    (Unreachable, 503, "ServiceUnavailable"),
)


def reason(error: Exception) -> tuple[int, str]:
    """HTTP status and metav1.StatusReason."""
    for kind, code, word in _REASONS:
        if isinstance(error, kind):
            return code, word
    return 500, "InternalError"


def as_status(error: Exception) -> dict[str, Any]:
    """A metav1.Status (Kubernetes API conventions, "Response Status Kind")."""
    code, word = reason(error)
    details: dict[str, Any] = {}
    if isinstance(error, NotFound | Invalid):
        details = {"name": error.name, "kind": error.kind}
    if isinstance(error, Invalid):
        details["causes"] = [{"field": field, "message": message} for field, message in error.problems]
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": word,
        "code": code,
    }
    return status | ({"details": details} if details else {})


def as_text(error: Exception) -> str:
    """The line kubectl prints; validation errors and what the machine says stand for themselves."""
    code, word = reason(error)
    if isinstance(error, Invalid | Several):
        return str(error)
    if (
        isinstance(error, ImageNotFound | ImageInUse | InvalidImageName | BadManifest | BadQuery)
        or code >= 500
    ):
        return f"error: {error}"
    return f"Error from server ({word}): {error}"
