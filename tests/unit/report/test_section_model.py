"""The section on the model: there with a model, every event told, in both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.report.documents import document, model_seen
from tests.unit.report.svg import Read

from shoal.domain.kinds import KINDS
from shoal.model.attribution import FIELDS
from shoal.report.document import ReportDocument
from shoal.report.document_model import ModelSeen, RestsOn, RestsOnEvent
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_model import ModelView, model
from shoal.report.story_wording import Teller
from shoal.report.texts import CATALOGUE, Texts
from shoal.report.wording import Wording


def view(shop: ReportDocument, lang: str = "en") -> ModelView | None:
    wording = Wording(shop, Texts(lang), Numbers(lang, shop.currency))
    return model(Teller(wording), shop.model)


def event(kind: str, occlusion: float, **about: str) -> RestsOnEvent:
    told = {"item_id": "", "title": "", "category": "", **about}
    return RestsOnEvent(
        datetime(2024, 5, 3, 12, tzinfo=UTC), kind, **told, occlusion=occlusion, gradient=0.0
    )


def one_customer(*events: RestsOnEvent, **more: object) -> ReportDocument:
    shop = document(2)
    seen = RestsOn("c1", len(events), events, **more)  # type: ignore[arg-type]
    example = {shop.segments[0].segment_id: seen}
    return replace(shop, model=replace(model_seen(()), examples=example, foreknown=False))


def test_without_a_model_there_is_no_section() -> None:
    shop = replace(document(3), model=None)
    assert view(shop) is None
    assert 'id="model"' not in render(shop)
    assert 'id="model"' in render(document(3))


def test_every_event_of_a_customer_is_drawn_and_in_the_table() -> None:
    shop = document(3)
    found = view(shop)
    assert found is not None and shop.model is not None
    assert len(found.examples) == 3
    for shown, seen in zip(found.examples, shop.model.examples.values(), strict=True):
        assert seen.customer_id in shown.title
        assert len(shown.plot.table.rows) == len(seen.events)
        assert len(Read(shown.plot.drawing).marks("line", "stem")) == len(seen.events)
        assert f"The last {len(seen.events)} of 40 events are shown." in shown.line


def test_the_weightiest_event_is_told_in_words() -> None:
    shop = one_customer(
        event("view", 0.1, title="A lamp"), event("purchase", 0.4, title="Walnut table"),
        event("search", 0.004, title="red lamp"), event("login", 0.0),
    )  # fmt: skip
    found = view(shop)
    assert found is not None
    (shown,) = found.examples
    assert "rests most on: Purchase: Walnut table, 3 May 2024 (0.40)" in shown.plot.alt
    assert "All 4 events are shown. The 3 weightiest hold 100" in shown.line
    assert [row[1:4] for row in shown.plot.table.rows][2:] == [
        ["Search", "red lamp", "<0.01"], ["Login", "", "0.00"],
    ]  # fmt: skip
    assert found.fields is None
    assert not any("apart" in remark for remark in found.remarks)


def test_fields_are_means_of_those_who_have_them_greatest_first() -> None:
    one = RestsOn("a", 1, (), {"kind": 0.1, "brand": 0.5})
    other = RestsOn("b", 1, (), {"kind": 0.3})
    seen = ModelSeen("m", datetime(2024, 1, 1, tzinfo=UTC), examples={"s1": one, "s2": other})
    assert seen.fields == {"brand": 0.5, "kind": pytest.approx(0.2)}


def test_customers_are_as_far_apart_as_they_are() -> None:
    ends = [RestsOn("a", 1, (), {}, place) for place in ((2.0, 0.0), (-5.0, 0.0), (0.0, 1.0))]
    made = datetime(2024, 1, 1, tzinfo=UTC)
    both = ModelSeen("m", made, examples={"1": ends[0], "2": ends[1]})
    assert both.apart == pytest.approx(2)
    three = ModelSeen("m", made, examples=dict(zip("123", ends, strict=True)))
    assert three.apart == pytest.approx((2 + 2 * 2**0.5) / 3)
    assert ModelSeen("m", made, examples={"1": ends[0]}).apart is None


def test_a_model_of_later_events_and_one_that_cannot_be_read_are_said() -> None:
    shop = document(9)
    found = view(shop)
    assert found is not None
    assert any("has seen what was still to come" in one for one in found.remarks)
    assert any("these are the 8 that bring most" in one for one in found.remarks)
    broken = view(replace(shop, model=ModelSeen("m-1", datetime.now(UTC), readable=False)))
    assert broken is not None
    assert "could not be used" in broken.lead
    assert not broken.examples


def test_nobody_to_show_is_no_section() -> None:
    assert view(replace(document(2), model=model_seen(()))) is None
    assert view(one_customer()) is None


@pytest.mark.parametrize("lang", CATALOGUE)
def test_every_kind_and_every_field_has_a_name(lang: str) -> None:
    texts = Texts(lang)
    assert all(texts.known(f"kind.{kind}") for kind in KINDS)
    assert all(texts.known(f"model.field.{name}") for name in FIELDS)


def test_where_nothing_matters_no_share_is_told() -> None:
    found = view(one_customer(*[event("view", 0.0)] * 5))
    assert found is not None
    assert found.examples[0].line == "All 5 events are shown."
