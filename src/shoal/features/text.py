"""Which text features a shop's model has: by a name for a new model, by a document for one there.

>>> text_features(None).name
'ngrams'
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.sequence import TextFeatures
from shoal.features import ngrams, sentences

#: Where a shop keeps vectors of its titles, in its directory.
CACHE: Final = "text-vectors"


def text_features(name: str | None = None, *, cache: Path | None = None) -> TextFeatures:
    """The text features of a model to be made.

    Args:
        name: None, "" or "ngrams" for n-grams; anything else is a sentence encoder, by its name
            or the path of its directory.
        cache: directory where sentence encoders keep vectors of item titles (a shop's is `CACHE`
            in its directory); None keeps none.

    Raises:
        OperationError: `missing_extra`.
        UsageError: `unknown_text_encoder`.
    """
    if name in (None, "", ngrams.NAME):
        return ngrams.NGrams()
    assert name is not None
    return sentences.SentenceVectors(name, cache=cache)


def text_of(document: Mapping[str, Any], *, cache: Path | None = None) -> TextFeatures:
    """The text features of a model that was made, by what `to_document` wrote.

    Raises:
        OperationError: `missing_extra`.
        UsageError: `unknown_text_encoder` where the encoder is not here; `model_mismatch` where it
            is another version of it, or another Shoal wrote the document.
    """
    try:
        if document["name"] == ngrams.NAME:
            return ngrams.NGrams.from_document(document)
        if document["name"] == sentences.NAME:
            return sentences.SentenceVectors.from_document(document, cache=cache)
        raise ValueError(f"text features {document['name']!r} are unknown")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "model_mismatch",
            f"the model's texts cannot be read by this version: {error}",
            hint="Use the version of Shoal that made the model, or train anew: shoal train SHOP.",
        ) from error
