"""Labels of known customers: read, counted, told, and refused; nothing of them is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.domain.errors import InputError, UsageError
from shoal.workflows.segment_labels import labels_of, labels_of_feature, read_labels

CUSTOMERS = ["a", "b", "c", "d", "e"]
KNOWN = np.array([True, True, False, True, True])
Z = np.arange(8.0).reshape(4, 2)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_every_row_of_labels_is_accounted_for(tmp_path):
    file = written(
        tmp_path / "labels.csv",
        "customer_id,segment,note\n"
        "a,vip,x\na,vip,again\nb,vip,\nb,thrifty,\nc,thrifty,\nd, thrifty ,\nzz,vip,\n,vip,\ne,,\n",
    )
    labels = read_labels(file)
    anchors, account, warnings = labels.anchors(CUSTOMERS, KNOWN, Z)
    assert account == {
        "source": str(file), "rows": 9, "used": 2, "blank": 2, "repeated": 1,
        "conflicting_customers": 1, "unknown_customers": 1, "too_little_known": 1,
    }  # fmt: skip
    rows_of_conflict = 2
    assert account["rows"] == rows_of_conflict + sum(
        account[key] for key in
        ("used", "blank", "repeated", "unknown_customers", "too_little_known")
    )  # fmt: skip
    assert anchors.names == ("thrifty", "vip")
    assert anchors.rows.tolist() == [[0.0, 1.0], [4.0, 5.0]] and anchors.tags.tolist() == [1, 0]
    told = warnings[0].en
    assert told.startswith("Of the labels, 2 customers are used; left out are 1 of customers the")
    for words in ("1 of customers with several names", "1 that repeat", "2 without a customer"):
        assert words in told
    assert len(warnings) == 1


def test_names_without_a_known_customer_are_told():
    labels = labels_of("x", [("a", "vip"), ("zz", "gone")])
    assert "names: gone" in labels.anchors(CUSTOMERS, KNOWN, Z)[2][1].en


def test_labels_of_strangers_alone_are_refused():
    with pytest.raises(InputError, match="of 2 labelled customers the shop knows 1, none") as error:
        labels_of("x", [("c", "vip"), ("zz", "vip")]).anchors(CUSTOMERS, KNOWN, Z)
    assert error.value.code == "too_little_data"


def test_parquet_with_whole_numbers_as_ids(tmp_path):
    table = pa.table({"customer_id": [1.0, 2.0], "segment": ["vip", "客户"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    assert read_labels(tmp_path / "labels.parquet").of == {"1": "vip", "2": "客户"}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("customer,group\na,vip\n", "unknown_columns", "lack the column customer_id and segment"),
        ("customer_id,segment\n", "input_empty", "no rows"),
        ("customer_id,segment\na,\n,vip\n", "input_unusable", "not one of 2 rows"),
        ("customer_id,segment\na,vip\na,other\n", "input_unusable", "not one of 2 rows"),
        (
            "customer_id,segment\n" + "".join(f"c{n},note {n}\n" for n in range(60)),
            "input_unusable",
            "60 different names, such as note 0",
        ),
    ],
)
def test_unusable_files_are_refused(tmp_path, text, code, message):
    with pytest.raises(InputError, match=message) as error:
        read_labels(written(tmp_path / "labels.csv", text))
    assert error.value.code == code and error.value.hint


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError) as error:
        read_labels(tmp_path / "nowhere.csv")
    assert error.value.code == "input_missing"


def test_a_trait_is_a_tag_and_numbers_are_none():
    features = pa.table(
        {
            "customer_id": ["a", "b", "c"],
            "trait_tier": ["gold", None, "silver"],
            "orders": [1, 2, 3],
        }
    )
    assert labels_of_feature(features, "trait_tier").of == {"a": "gold", "c": "silver"}
    with pytest.raises(UsageError, match="no labels 'orders'") as error:
        labels_of_feature(features, "orders")
    assert "trait_tier" in error.value.hint
