"""Vectors of item titles kept in a shop, so that an encoder reads each title once.

    <directory>/<encoder digest>/<name>.safetensors     keys (n, 16) uint8, vectors (n, w) float32

A title is told by the first 16 bytes of its SHA-256. Files are added, never changed, each written
aside and renamed; many small ones are merged into one. Only titles of items come here: what people
typed is never kept, so nothing here is any person's. The whole is a cache: it may be removed at any
time, and a file that cannot be read is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shoal.domain.errors import OperationError
from shoal.domain.sequence import Array

#: Files that lie beside each other before they are merged.
MOST_FILES: Final = 8

_SUFFIX: Final = ".safetensors"
_KEY_BYTES: Final = 16


class TextCache:
    """The vectors of one encoder.

    Args:
        directory: of the cache; it is made with the first vectors.
        encoder: digest of the encoder; vectors of another one are not seen.
    """

    def __init__(self, directory: Path, encoder: str) -> None:
        self.directory = directory / encoder
        self._known: dict[bytes, Array] = {}
        self._read: set[str] = set()

    def get(self, texts: Sequence[str]) -> list[Array | None]:
        """The vector (w,) of each text, None where there is none."""
        self._refresh()
        return [self._known.get(key_of(text)) for text in texts]

    def put(self, texts: Sequence[str], vectors: Array) -> None:
        """Keep (n, w) vectors of texts.

        Raises:
            OperationError: `disk_full`, `no_permission`; what was kept before is still there.
        """
        added = {key_of(text): row for text, row in zip(texts, vectors, strict=True)}
        self._known |= added
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._read.add(self._write(added))
            files = self._files()
            if len(files) > MOST_FILES:
                self._refresh()
                self._read = {self._write(self._known)}
                for path in files:
                    if path.name not in self._read:
                        path.unlink(missing_ok=True)
        except OSError as error:
            code = "no_permission" if isinstance(error, PermissionError) else "disk_full"
            raise OperationError(
                code,
                f"vectors of texts cannot be kept: {error.strerror or error}",
                where=str(self.directory),
                hint="Make space or grant access, then run the same command again.",
            ) from error

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob(f"*{_SUFFIX}"))

    def _refresh(self) -> None:
        """Read the files that came since."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        for path in self._files():
            if path.name in self._read:
                continue
            try:
                arrays = load_file(path)
                keys, vectors = arrays["keys"], arrays["vectors"]
                if keys.shape != (len(vectors), _KEY_BYTES) or vectors.ndim != 2:
                    raise ValueError("shapes do not fit")
            except FileNotFoundError:  # another process merged it meanwhile
                continue
            except (SafetensorError, OSError, KeyError, ValueError):
                with contextlib.suppress(OSError):
                    path.unlink()
                continue
            self._known.update((key.tobytes(), row) for key, row in zip(keys, vectors, strict=True))
            self._read.add(path.name)

    def _write(self, vectors: dict[bytes, Array]) -> str:
        """The name of a new file with some vectors; it tells its content."""
        from safetensors.numpy import save

        keys = np.frombuffer(b"".join(vectors), np.uint8).reshape(-1, _KEY_BYTES)
        rows = np.stack(list(vectors.values())).astype(np.float32)
        content = save({"keys": keys.copy(), "vectors": rows})
        name = hashlib.sha256(content).hexdigest()[:16] + _SUFFIX
        handle, aside = tempfile.mkstemp(prefix=".", dir=self.directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(aside).replace(self.directory / name)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(aside).unlink()
            raise
        return name


def key_of(text: str) -> bytes:
    """What a text is known by.

    >>> len(key_of("Red lamp"))
    16
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_KEY_BYTES]
