"""What is found wrong on disk, said so that somebody can act on it."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.domain.errors import CODES, OperationError


@dataclass(frozen=True)
class Fault:
    """Something on disk that is not as it should be.

    Args:
        code: one of `shoal.domain.errors.CODES`.
        message: what is wrong.
        where: file or object concerned.
        hint: what to do.
    """

    code: str
    message: str
    where: str
    hint: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"code {self.code!r} is not in shoal.domain.errors.CODES")

    @classmethod
    def of(cls, error: OperationError) -> Fault:
        """What an operation failed of."""
        return cls(error.code, error.message, error.where, error.hint)

    def as_error(self) -> OperationError:
        """The fault as what stops an operation."""
        return OperationError(self.code, self.message, self.where, self.hint)

    def as_document(self) -> dict[str, str]:
        return {
            "code": self.code, "message": self.message, "where": self.where, "hint": self.hint,
        }  # fmt: skip
