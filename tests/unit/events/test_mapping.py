"""Mapping files: what is read, and the words for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.domain.errors import InputError, UsageError
from shoal.events import mapping as mapping_module
from shoal.events import presets
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.events.mapping_file import parse

MINIMUM = '[columns]\nevent_time = "t"\ncustomer_id = "c"\n[constants]\nkind = "view"\n'


def _parse(text: str) -> SourceMapping:
    return parse(text, file="m.toml", default_name="m")


def test_the_example_of_the_documentation_is_valid() -> None:
    lines = (mapping_module.__doc__ or "").splitlines()
    example = "\n".join(line[4:] for line in lines if line.startswith("    ") or not line)
    mapping = _parse(example)
    assert (mapping.name, mapping.currency) == ("my-shop", "EUR")
    assert mapping.time_zone == "Europe/London"
    assert mapping.columns["customer_id"] == ("user_id", "uid")
    assert mapping.csv.encodings == ("latin-1",) and len(mapping.rules) == 1
    layout = mapping.for_columns(["user_id", "age"])
    assert layout.constants == {"kind": "profile"} and layout.currency == "EUR"


@pytest.mark.parametrize(
    ("text", "says", "allowed"),
    [
        ("colums = 1", "colums: there is no such key", "columns, optional"),
        ('[columns]\nuser = "u"', "columns.user: there is no such key", "customer_id"),
        ('[kinds]\nbuy = "bought"', "kinds.buy: 'bought' is not allowed", "purchase, refund"),
        ('[constants]\nkind = "x"', "constants.kind: 'x' is not allowed", "view, search"),
        ('value_event = "buy"', "value_event: 'buy' is not allowed", "purchase"),
        ('currency = "EURO"', "currency: 'EURO' is not allowed", "ISO 4217"),
        ('[time]\nzone = "Mars"', "time.zone: 'Mars' is not allowed", "IANA"),
        ('[time]\nunit = "days"', "unit: 'days' is not allowed", "'ms'"),
        ('[money]\nunits = "euro"', "units: 'euro' is not allowed", "'cents'"),
        ('[money]\nprice = "x"', "money.price: there is no such key", "price_is"),
        ("name = 3", "name: 3 is not allowed", "a text in quotes"),
        ("skip = [1]", "skip: [1] is not allowed", "a list of texts"),
        ("columns = 1", "columns: 1 is not allowed", "a table"),
        ('[csv]\ndelimiter = "::"', "csv.delimiter: '::' is not allowed", "one character"),
        ('[csv]\nencoding = "klingon"', "csv.encoding: 'klingon' is not allowed", "latin-1"),
        ("[[rule]]\nskip = true", "rule[0].when: None is not allowed", "condition"),
        ('[[rule]]\nwhen = { column = "a" }', "rule[0].when:", "equals, one_of"),
        ('[[rule]]\nwhen = { column = "a", below = "b" }', "rule[0].when.below: 'b'", "a float"),
        ('[[rule]]\nwhen = {}\nthen = 1', "rule[0].then: there is no such key", "why, when"),
        ('[[rule]]\nwhen = { column = "a", equals = "b" }\nset = { price = "1" }',
         "rule[0].set.price: there is no such key", "customer_id"),
        ("[[layout]]\nname = 'x'", "layout[0].when_columns: None", "a list of column names"),
        ("a = ", "not valid TOML", "Mend the line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_is_allowed(text: str, says: str, allowed: str) -> None:
    with pytest.raises(UsageError) as e:
        _parse(text)
    assert e.value.code == "bad_mapping" and e.value.where == "m.toml"
    assert says in e.value.message and allowed in e.value.hint


def test_a_mapping_file_is_read_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(MINIMUM)
    mapping = read_mapping(tmp_path / "shop.toml")
    assert mapping.name == mapping.source == "shop"
    with pytest.raises(InputError, match=r"there is no mapping file .*gone.toml"):
        read_mapping(tmp_path / "gone.toml")


def test_the_fingerprint_changes_with_every_setting() -> None:
    plain = _parse(MINIMUM)
    assert plain.fingerprint == _parse(MINIMUM).fingerprint
    rule = '[[rule]]\nwhen = { column = "a", equals = "b" }\nskip = true\n'
    others = ['currency = "EUR"\n' + MINIMUM, MINIMUM + '[kinds]\nbuy = "purchase"\n',
              MINIMUM + '[time]\nunit = "s"\n', MINIMUM + rule]  # fmt: skip
    prints = {plain.fingerprint, *(_parse(text).fingerprint for text in others)}
    assert len(prints) == 5


def test_properties_and_rules_must_find_their_columns() -> None:
    text = 'properties = ["extra"]\n' + MINIMUM
    text += '[[rule]]\nwhen = { column = "flag", equals = "b" }\nskip = true\n'
    with pytest.raises(InputError, match=r"properties \(from extra\), flag \(a rule asks for it\)"):
        _parse(text).bind(["t", "c"])


def test_presets_are_listed_and_an_unknown_one_is_refused() -> None:
    assert presets.names() == sorted(presets.names())
    assert {"amazon-reviews", "cdnow", "movielens", "online-retail", "rees46", "retailrocket",
            "shoal", "taobao"} < set(presets.names())  # fmt: skip
    for name in presets.names():
        assert presets.load(name).source == name and presets.load(name).description
    with pytest.raises(UsageError, match="there is no preset 'amazon'") as e:
        presets.load("amazon")
    assert "online-retail" in e.value.hint
