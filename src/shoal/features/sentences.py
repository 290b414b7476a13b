"""Texts as vectors of a sentence encoder (the BERT family), by name or local path.

Needs the extra `shoal[text]`. The encoder is told by a digest of its files: a model that was made
with one version of an encoder is not read with another. Titles of items are encoded once and kept
(`shoal.features.text_cache`); what people typed is encoded anew each time and never kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.sequence import Array
from shoal.features.text_cache import TextCache

NAME: Final = "sentences"
EXTRA: Final = "text"

#: Texts that go through the encoder at once.
BATCH: Final = 64
#: Decimals of a vector: what a text is encoded together with changes no more than digits beyond.
DECIMALS: Final = 5

_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
_TOLD_BY: Final = (".json", ".txt", ".model", ".safetensors", ".bin")
#: The same weights for other programs, and for several of one kind of device.
_OTHER_PROGRAMS: Final = frozenset({"onnx", "openvino", "tf", "flax", "coreml"})


class SentenceVectors:
    """Texts as unit vectors of a sentence encoder; zeros for a text of blanks.

    Args:
        encoder: a local path, or the name of an encoder that was downloaded before or can be.
        cache: directory where vectors of titles are kept; None keeps none.
        digest: that the encoder must have; None takes what there is.
        width: numbers a vector, where it is known; None asks the encoder, which loads it.

    Raises:
        OperationError: `missing_extra`, with the command that installs it.
        UsageError: `unknown_text_encoder`; `model_mismatch` where the digest is another one.
    """

    name = NAME
    dtype = "float32"

    def __init__(
        self,
        encoder: str,
        *,
        cache: Path | None = None,
        digest: str | None = None,
        width: int | None = None,
    ) -> None:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise OperationError(
                "missing_extra",
                f"the text encoder {encoder!r} needs sentence-transformers, which is not installed",
                where=encoder,
                hint=f'Run: pip install "shoal[{EXTRA}]" (or use --text ngrams, which needs none).',
            )
        self.directory = directory_of(encoder)
        self.encoder = str(self.directory) if Path(encoder).is_dir() else encoder
        self.digest = digest_of(self.directory)
        if digest is not None and digest != self.digest:
            raise UsageError(
                "model_mismatch",
                f"the model was made with the text encoder {encoder!r} of digest {digest}; "
                f"the one here has {self.digest}",
                where=str(self.directory),
                hint="Put the encoder's earlier version there, or train anew: shoal train SHOP.",
            )
        self._width = width
        self._cache = None if cache is None else TextCache(cache, self.digest)

    @cached_property
    def width(self) -> int:
        """Numbers a vector."""
        return self._width or self._vectors(["a"]).shape[1]

    @cached_property
    def _encoder(self) -> Any:
        """The encoder, loaded when it is first needed; loading its library takes seconds."""
        import sentence_transformers

        try:
            with _no_bars():
                return sentence_transformers.SentenceTransformer(str(self.directory), device="cpu")
        except Exception as error:  # whatever a damaged or foreign directory makes the library say
            raise UsageError(
                "unknown_text_encoder",
                f"the text encoder cannot be loaded: {str(error).splitlines()[0][:200]}",
                where=str(self.directory),
                hint="It must be a sentence encoder that sentence-transformers reads.",
            ) from error

    def encode(self, texts: Sequence[str], *, titles: bool = False) -> Array:
        """(n, width) float32; the same text gives the same row whatever stands beside it.

        Args:
            titles: the texts are titles of items, of which vectors are looked up and kept.
        """
        cache = self._cache if titles else None
        places = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        distinct = list(places)
        found = np.zeros((len(distinct), self.width), np.float32)
        known = cache.get(distinct) if cache else [None] * len(distinct)
        new = []
        for row, (text, vector) in enumerate(zip(distinct, known, strict=True)):
            if vector is not None:
                found[row] = vector
            elif text.strip():
                new.append(row)
        if new:
            fresh = [distinct[row] for row in new]
            found[new] = self._vectors(fresh)
            if cache:
                cache.put(fresh, found[new])
        return found[[places[text] for text in texts]] if len(texts) else found

    def _vectors(self, texts: list[str]) -> Array:
        vectors = self._encoder.encode(
            texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False,
            convert_to_numpy=True,
        )  # fmt: skip
        return np.round(np.asarray(vectors, np.float32), DECIMALS)

    def to_document(self) -> dict[str, Any]:
        """As JSON: the encoder and its digest; its weights stay where they are."""
        return {
            "name": NAME,
            "encoder": self.encoder,
            "digest": self.digest,
            "width": self.width,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, cache: Path | None = None) -> Self:
        """What `to_document` wrote, if the encoder is there and the same.

        Raises:
            OperationError, UsageError: as the constructor.
        """
        return cls(
            document["encoder"],
            cache=cache,
            digest=document["digest"],
            width=int(document["width"]),
        )


@contextmanager
def _no_bars() -> Iterator[None]:
    """The library draws no progress bars of its own into what Shoal prints."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def directory_of(encoder: str) -> Path:
    """Where an encoder's files lie.

    Raises:
        UsageError: `unknown_text_encoder`: no such directory, or no weights in it, or a name that
            is neither downloaded nor can be.
    """
    path = Path(encoder).expanduser()
    if path.is_dir():
        if not any((path / name).is_file() for name in ("modules.json", "config.json")):
            raise _unknown(encoder, "the directory holds no encoder (no config.json)")
        return path.resolve()
    if path.is_absolute() or encoder.startswith((".", "~")) or encoder.count("/") > 1:
        raise _unknown(encoder, "there is no such directory")
    from huggingface_hub import snapshot_download

    name = encoder if "/" in encoder else f"sentence-transformers/{encoder}"
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # not downloaded yet: the library says so in many ways
        try:
            return Path(snapshot_download(name, ignore_patterns=["onnx/*", "openvino/*", "*.h5"]))
        except Exception as error:  # offline, no such name, no access
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise _unknown(encoder, f"it is not here and cannot be fetched: {reason}") from error


def digest_of(directory: Path) -> str:
    """16 hex digits of an encoder's files: weights, vocabulary and settings, none that is told to
    people or made for other programs.
    """
    files = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and path.suffix in _TOLD_BY and _counts(path.relative_to(directory))
    )
    weights = [directory / name for name in _WEIGHTS if (directory / name) in files]
    left_out = set(weights[1:])  # the same weights once more
    found = hashlib.sha256()
    for path in files:
        if path in left_out:
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        found.update(f"{path.relative_to(directory).as_posix()} {content}\n".encode())
    return found.hexdigest()[:16]


def _counts(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    told = path.name in ("data_config.json", "train_script.txt", "requirements.txt")
    return not (hidden or told or _OTHER_PROGRAMS.intersection(path.parts))


def _unknown(encoder: str, reason: str) -> UsageError:
    return UsageError(
        "unknown_text_encoder",
        f"there is no text encoder {encoder!r}: {reason}",
        where=encoder,
        hint="Give ngrams, the path of a directory, or the name of an encoder, such as "
        "all-MiniLM-L6-v2.",
    )
