"""Publish segments made by rules."""

from __future__ import annotations

from datetime import datetime

from shoal.config import SegmentConfig
from shoal.domain.text import Text
from shoal.domain.time import Clock, system_clock
from shoal.features.snapshot import latest_moment
from shoal.features.tastes import Vocabulary
from shoal.segments.inputs import TASTE_PRIOR_EVENTS
from shoal.segments.ruled.language import RuleSet
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.workflows import reference
from shoal.workflows.known import from_events
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.rule_columns import Asking, with_rules
from shoal.workflows.rule_known import Rules, lasting
from shoal.workflows.rule_preview import RuleShop
from shoal.workflows.segment import SegmentResult
from shoal.workflows.segment_publish import Publisher


def segment_by_rules(
    shop: RuleShop,
    rules: Rules,
    *,
    settings: SegmentConfig | None = None,
    until: datetime | None = None,
    clock_now: Clock = system_clock,
    progress: Progress | None = None,
) -> SegmentResult:
    """Place all customers by rules and make that `segmentation.rules`, and the main one of none.

    Everybody with an event before the moment gets a membership. Segments of other segmentations
    that rules ask about are those of the present version, also when these get newer ones.

    Args:
        rules: a file, a document, or rules made in Python.
        until: T; nothing at or after it is used. None: just after the latest event.

    Raises:
        InputError: `input_missing`, `input_unreadable`, `too_little_data`.
        UsageError: `bad_rule`.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    progress = progress or NoProgress()
    settings = settings or SegmentConfig()
    with shop.store.lease():
        found = shop.read(rules)
        segmenter = RuleSegmenter(lasting(found, shop.store))
        warnings = _warnings(shop, found)
        moment = until or latest_moment(shop.warehouse, version=shop.table_version)
        counted = shop.admission.at(moment, version=shop.table_version)
        progress.start("features", None)
        items, reference_id = reference.freeze(
            counted,
            shop.registry,
            moment,
            noise=shop.fold.rules.noise,
            table_version=shop.table_version,
        )
        known = from_events(
            counted, shop.fold, shop.zone, moment, items, version=shop.table_version
        )
        asking = Asking(
            counted, shop.fold, shop.zone, shop.registry, shop.store, shop.table_version
        )
        known = with_rules(segmenter, known, asking)
        progress.done()
        version = shop.table_version
        publisher = Publisher(
            shop.store,
            shop.registry,
            shop.fold,
            settings,
            0,
            settings.seed,
            shop.warehouse.version() if version is None else version,
            clock_now(),
            warnings,
        )
        vocabulary = Vocabulary.of(known.counts, prior=TASTE_PRIOR_EVENTS)
        document = publisher.publish(segmenter, None, known, vocabulary, reference_id)
        if shop.store.get_pointer(reference.POINTER) is None:
            shop.store.set_pointer(reference.POINTER, reference_id, publisher.now)
    return SegmentResult(moment, (document,), tuple(text.en for text in warnings))


def _warnings(shop: RuleShop, rules: RuleSet) -> list[Text]:
    return [
        Text(f"{one['path']}: {one['message']}.", f"{one['path']}：{one['message']}。")
        for one in shop.doubts(rules)
    ]
