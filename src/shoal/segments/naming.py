"""Names for learned segments: short phrases over verified effects, unique in their segmentation.

A name never claims more than the effect says: a phrase belongs to a feature and a direction, and is
used only where the effect is at least `NAMED_EFFECT`. The names are labels for people; the identity
of a segment is its id.

A segment that goes on from an earlier version keeps its name for as long as every fact in it holds,
now from `KEPT_EFFECT` on: an effect near the threshold must not rename a segment at every refit. A
name that is none of these phrases was given by somebody, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.segments.phrases import FALLBACK, PHRASES

#: Cohen's "medium" effect.
NAMED_EFFECT: Final = 0.5
#: A fact of a name that is there already holds from here on.
KEPT_EFFECT: Final = 0.35
#: A category names a segment from this mean share of its events on, and goes on to from the other:
#: 3 % of them may be many times what the rest has, and are still not what these customers shop for.
_NAMED_SHARE: Final = 0.2
_KEPT_SHARE: Final = 0.15
#: From here on a segment is no longer "average".
_NOT_AVERAGE: Final = 0.65

Meaning = str | tuple[frozenset[str], str]

NEW_NAME: Final = Text("Too little known", "了解太少")

_FEWEST_PHRASES, _MOST_PHRASES = 2, 4


def name_all(
    profiles: Sequence[Mapping[str, Any]],
    *,
    kept: Mapping[str, Text] | None = None,
    given: Mapping[str, Text] | None = None,
) -> list[Text]:
    """A name a profile, in their order: no two say the same, in whatever order.

    Each name starts with the strongest fact (and the category that sets the segment apart); facts
    are added until the name is unique, and a number only where no fact tells two segments apart.

    Args:
        kept: segment id -> the name it had in the version before; stays if its facts still hold.
        given: segment id -> a name that somebody gave it; stays.
    """
    known = {profile["segment_id"]: profile for profile in profiles}
    old = {
        name: text
        for name, text in (kept or {}).items()
        if name in known and still_true(text, known[name])
    } | {name: text for name, text in (given or {}).items() if name in known}
    facts = [_facts(profile) for profile in profiles]
    lengths = [_FEWEST_PHRASES] * len(profiles)
    while True:
        names = [
            old[profile["segment_id"]]
            if profile["segment_id"] in old
            else NEW_NAME
            if profile["segment_id"] == TIER_NEW
            else _assembled(own[:length], _category(profile))
            for profile, own, length in zip(profiles, facts, lengths, strict=True)
        ]
        meanings = [_meaning(name) for name in names]
        longer = [
            length + 1
            if meanings.count(meaning) > 1
            and profile["segment_id"] not in old
            and length < min(len(own), _MOST_PHRASES)
            else length
            for profile, meaning, own, length in zip(
                profiles, meanings, facts, lengths, strict=True
            )
        ]
        if longer == lengths:
            fixed = [profile["segment_id"] in old for profile in profiles]
            return _numbered(_shortened(names, facts, profiles, fixed), fixed)
        lengths = longer


def _shortened(
    names: Sequence[Text],
    facts: Sequence[Sequence[Text]],
    profiles: Sequence[Mapping[str, Any]],
    fixed: Sequence[bool],
) -> list[Text]:
    """Names without the further facts where these told nobody apart, of one order of facts."""
    meanings = [_meaning(name) for name in names]
    found: dict[Meaning, Text] = {}
    short = []
    for name, own, profile, stays in zip(names, facts, profiles, fixed, strict=True):
        alike = meanings.count(_meaning(name)) > 1
        if alike and not stays and profile["segment_id"] != TIER_NEW:
            told = _assembled(own[:_FEWEST_PHRASES], _category(profile))
            name = found.setdefault(_meaning(told), told)
        short.append(name)
    return short


def _meaning(name: Text) -> Meaning:
    """What a name says, in whatever order."""
    told = _read(name.en)
    return name.en if told is None else (frozenset(told[0]), (told[1] or "").lower())


def still_true(name: Text, profile: Mapping[str, Any]) -> bool:
    """Whether every fact in a name holds of a segment; of a name that somebody gave, always.

    >>> effect = {"feature": "orders", "direction": "higher", "effect": 0.4}
    >>> still_true(Text("Frequent customers", "高频的客户"), {"effects": [effect]})
    True
    >>> still_true(Text("Night-time customers", "深夜的客户"), {"effects": [effect]})
    False
    """
    if name == NEW_NAME:
        return bool(profile["segment_id"] == TIER_NEW)
    told = _read(name.en)
    if told is None:
        return True
    phrases, category = told
    effects = _sizes(profile)
    if FALLBACK.en in phrases:
        named = (size for key, size in effects.items() if key in PHRASES)
        return max(named, default=0.0) < _NOT_AVERAGE
    if category and not any(
        effect >= KEPT_EFFECT and _share(profile, column) >= _KEPT_SHARE
        for (column, direction), effect in effects.items()
        # a name without a phrase begins with the category, in a capital letter
        if direction == "higher" and column in _columns(category, capital=not phrases)
    ):
        return False
    return all(
        any(
            effects.get(key, 0.0) >= KEPT_EFFECT
            for key, (_, text) in PHRASES.items()
            if text.en == phrase
        )
        for phrase in phrases
    )


def _sizes(profile: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Size of every effect by feature and direction: those told of, and the smaller ones."""
    differences = {one["feature"]: one["effect"] for one in profile["effects"]}
    differences |= profile.get("differences", {})
    return {
        (name, "higher" if effect > 0 else "lower"): abs(effect)
        for name, effect in differences.items()
    }


def _read(name: str) -> tuple[list[str], str | None] | None:
    """The phrases and the category that a name was put together from; None if it was not.

    >>> _read("Night-time, frequent books shoppers 2")
    (['night-time', 'frequent'], 'books')
    >>> _read("Our VIPs") is None
    True
    """
    rest, ending = re.sub(r" \d+$", "", name), ""
    for ending in (" customers", " shoppers"):
        if rest.endswith(ending):
            rest = rest.removesuffix(ending)
            break
    else:
        return None
    found, known = [], {text.en for _, text in PHRASES.values()} | {FALLBACK.en}
    phrase: str | None = ""
    while phrase is not None:
        phrase = next(
            (one for one in sorted(known, key=len, reverse=True) if _begins(rest, one)), None
        )
        if phrase is not None:
            found.append(phrase)
            rest = rest[len(phrase) :].removeprefix(",").strip()
    if ending == " customers":
        return None if rest or not found else (found, None)
    number = rest.removeprefix("category-")
    category = number if number.isdigit() else rest
    return (found, category) if category else None


def _columns(category: str, *, capital: bool) -> set[str]:
    """Columns that a category in a name may stand for."""
    found = {category, category[:1].lower() + category[1:]} if capital else {category}
    return {f"category:{name}" for name in found}


def _begins(text: str, phrase: str) -> bool:
    """Whether a text begins with a phrase, whatever the case of its first letter."""
    head, after = text[: len(phrase)], text[len(phrase) :][:1]
    return head.lower() == phrase.lower() and after in ("", ",", " ")


def _facts(profile: Mapping[str, Any]) -> list[Text]:
    """Phrases of the effects that the profile tells of, strongest first, then those of its other
    differences; one a theme."""
    told = {one["feature"] for one in profile["effects"]}
    sizes = sorted(_sizes(profile).items(), key=lambda one: (one[0][0] not in told, -one[1]))
    found: dict[str, Text] = {}
    for key, size in sizes:
        theme, phrase = PHRASES.get(key, ("", FALLBACK))
        if theme and theme not in found and size >= NAMED_EFFECT:
            found[theme] = phrase
    return list(found.values())


def _category(profile: Mapping[str, Any]) -> str | None:
    """The category whose share is told apart most among those of much of the events, if any."""
    for effect in sorted(profile["effects"], key=lambda one: -one["effect"]):
        column, told = effect["feature"], effect["effect"] >= NAMED_EFFECT
        if column.startswith("category:") and told and _share(profile, column) >= _NAMED_SHARE:
            name = str(column.partition(":")[2])
            return f"category-{name}" if name.isdigit() else name
    return None


def _share(profile: Mapping[str, Any], column: str) -> float:
    """Mean share of a category in the segment's events; all, where the profile does not tell."""
    return float(profile.get("means", {}).get(column, 1.0))


def _assembled(facts: Sequence[Text], category: str | None) -> Text:
    words = list(facts) or ([] if category else [FALLBACK])
    en, zh = ", ".join(word.en for word in words), "、".join(word.zh for word in words)
    if category is None:
        return Text(f"{en} customers"[:1].upper() + f"{en} customers"[1:], f"{zh}的客户")
    en = f"{en} {category} shoppers".strip()
    return Text(en[:1].upper() + en[1:], f"{zh}的 {category} 客户" if zh else f"{category} 客户")


def _numbered(names: Sequence[Text], fixed: Sequence[bool]) -> list[Text]:
    """Names with a number where they are taken, in both languages; fixed ones stay first.

    Of two fixed ones of the same name the second one gets a number too.
    """
    taken: set[str] = set()
    found = list(names)
    for place in sorted(range(len(names)), key=lambda place: not fixed[place]):
        name, number = names[place], 2
        while {found[place].en, found[place].zh} & taken:
            found[place] = Text(f"{name.en} {number}", f"{name.zh} {number}")
            number += 1
        taken |= {found[place].en, found[place].zh}
    return found


def summary(profile: Mapping[str, Any], minimum_events: int) -> Text:
    """One or two plain sentences about a segment, from its profile."""
    size, share = profile["size"], profile["share"]
    en = f"{size:,} customers, {share:.0%} of all"
    zh = f"{size:,} 位客户，占全部的 {share:.0%}"
    if profile["revenue_share"] is not None:
        en += f", with {profile['revenue_share']:.0%} of net revenue"
        zh += f"，贡献净收入的 {profile['revenue_share']:.0%}"
    en, zh = en + ".", zh + "。"
    if profile["segment_id"] == TIER_NEW:
        return Text(
            f"{en} Fewer than {minimum_events} events each: too little known to place them.",
            f"{zh}每人事件数不足 {minimum_events} 个，了解太少，暂不归入分群。",
        )
    told = [effect["sentence"] for effect in profile["effects"][:2]]
    return Text(
        " ".join([en, *(one["en"] for one in told)]), "".join([zh, *(one["zh"] for one in told)])
    )
