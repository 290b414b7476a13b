"""What the API refuses that no error of the shop tells."""

from __future__ import annotations

from starlette.responses import Response

from shoal.service.answers import answer


class Refused(Exception):  # noqa: N818  (an answer, not a failure)
    """An answer that is an error: `code` and `message`, as all have.

    Args:
        retry_s: the client may come again after so many seconds.
    """

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", retry_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.hint, self.retry_s = hint, retry_s

    def response(self) -> Response:
        """As it is answered."""
        document = {"code": self.code, "message": self.message}
        if self.hint:
            document["hint"] = self.hint
        headers = {} if self.retry_s is None else {"retry-after": str(self.retry_s)}
        return answer(document, self.status, headers)
