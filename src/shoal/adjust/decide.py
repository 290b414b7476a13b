"""What is done about what was noticed: a pure function of evidence, settings and a policy.

1. While anything is broken, nothing is learned: keep.
2. A proposal *pays* where gain, less its standard error, is more than the price of the customers
   it moves and its further cost.
3. A change that does no harm may pass by itself (a festival): as long as one is noticed and none
   is harmful, all segments are not made anew, and single ones change only where the next period is
   foretold better for it; until a challenger is overdue. A nudge is small, inside the budget and
   fades: it is free.
4. Harmful alarms go first: of what pays, those that answer most of them are candidates.
5. All segments are made anew where that is worth more than all small steps together, or where it
   is due: by then so much more is known than they were made of that it has to be better only.
6. The policy chooses one candidate inside the budget, or to keep. Other steps that pay and touch
   other segments go with it; a nudge comes last, of the segments as they are by then.
7. What pays but goes beyond the budget is put to a person where it answers more or is worth more
   than what is done without.

Nothing depends on the order of proposals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.adjust.adjustment import (
    BROKEN,
    KEEP,
    LADDER,
    MERGE,
    NUDGE,
    REFIT,
    RETRAIN,
    SPLIT,
    Adjustment,
    Evidence,
    Proposal,
)
from shoal.adjust.policy import Policy, RulePolicy, worth
from shoal.adjust.settings import AdjustSettings
from shoal.domain.text import Text

#: Codes of reasons, in words.
REASONS: Final[Mapping[str, Text]] = {
    "pays": Text("What it gains is more than what it costs.", "收益大于代价。"),
    "answers": Text(
        "It answers a harmful change and gains more than it costs.",
        "可应对有害变化，且收益大于代价。",
    ),
    "due": Text(
        "Much more is known by now than segments were made of, and made anew they are better.",
        "如今掌握的数据远多于分群建立时，重新建立的分群更好。",
    ),
    "over_budget": Text(
        "It pays, but moves more customers than may be moved without a person.",
        "有收益，但移动的客户超过无需人工批准的预算。",
    ),
    "explored": Text(
        "The policy chose it to learn what comes of it.", "策略为了解其效果而选择此项。"
    ),
    "blocked": Text(
        "Tracking is broken: nothing is learned until it is mended.",
        "数据采集异常，修复前不学习任何变化。",
    ),
    "nothing_proposed": Text("Nothing was to be done.", "没有可做的调整。"),
    "nothing_pays": Text(
        "Nothing gains more than relabelling customers for it would cost.",
        "没有任何调整的收益大于重新归群的代价。",
    ),
    "not_harmful": Text(
        "Something changed, but segments and forecasts are no worse for it: it may pass by itself.",
        "出现变化，但分群和预测并未变差，可能会自行消失。",
    ),
    "unanswered": Text(
        "A harmful change was noticed, and nothing that was proposed answers it and pays.",
        "发现有害变化，但没有既能应对又有收益的调整。",
    ),
}

#: Why a person has to approve, in words.
APPROVALS: Final[Mapping[str, Text]] = {
    "over_budget": Text(
        "It moves more customers than the budget of 30 days has left.",
        "移动的客户超过 30 天预算的余额。",
    ),
    "moved": Text("It moves a large share of all customers at once.", "一次性移动的客户占比很大。"),
}

#: Steps of single segments, or of all by a little.
SMALL: Final = (NUDGE, SPLIT, MERGE)
#: Shares are compared up to this.
_EQUAL: Final = 1e-12


def decide(
    evidence: Evidence, settings: AdjustSettings, policy: Policy | None = None
) -> tuple[Adjustment, ...]:
    """What is done, one adjustment at least; see the module.

    Args:
        policy: chooses among the candidates; None: the rules.

    Returns:
        One kept, or a refit or retraining, or steps that touch different segments, a nudge last;
        and what is put to a person: those with an `approval` wait.
    """
    policy = policy or RulePolicy(settings.relabel_price)
    if evidence.blocked:
        return (_kept("blocked", policy.name),)
    left = max(settings.relabel_budget - evidence.spent, 0.0)
    paying = [one for one in _ordered(evidence.proposals) if pays(one, settings)]
    free = [one for one in paying if not _waits(one, evidence)]
    inside = [one for one in free if one.moved <= left + _EQUAL]
    done = _chosen(inside, evidence, settings, left, policy)
    asked = _put(
        [one for one in free if one not in inside], [one.proposal for one in done], evidence,
        settings,
    )  # fmt: skip
    if asked:
        codes = _approvals(asked, settings, over=True)
        done += [Adjustment(one.action, one, 1.0, policy.name, "over_budget", codes)
                 for one in asked]  # fmt: skip
    return tuple(done) or (_kept(_why_kept(evidence, waiting=bool(paying)), policy.name),)


def _chosen(
    inside: Sequence[Proposal], evidence: Evidence, settings: AdjustSettings, left: float,
    policy: Policy,
) -> list[Adjustment]:  # fmt: skip
    """What the policy does inside the budget; empty where there is nothing to choose."""
    pool = _small_first(_most_answering(inside, evidence), settings, left)
    if not pool:
        return []
    candidates = [Proposal(KEEP), *pool]
    place, probability = policy.choose(evidence, candidates)
    usual, _ = RulePolicy(settings.relabel_price).choose(evidence, candidates)
    done = [candidates[place]]
    if done[0].action in SMALL:
        done = _together(done[0], pool, settings, left)
    asked = _approvals(done, settings, over=False)
    return [
        Adjustment(
            one.action, one, probability, policy.name,
            _reason(one, evidence) if place == usual else "explored",
            () if one.action == KEEP else asked,
        )
        for one in done
    ]  # fmt: skip


def _put(
    beyond: Sequence[Proposal], done: Sequence[Proposal], evidence: Evidence,
    settings: AdjustSettings,
) -> list[Proposal]:  # fmt: skip
    """What is put to a person beside what is done: one proposal at most."""
    structural = [one for one in done if one.action in LADDER[LADDER.index(SPLIT) :]]
    if any(one.action in (REFIT, RETRAIN) for one in structural):
        return []
    fits = [
        one
        for one in beyond
        if not structural
        or (one.action in (SPLIT, MERGE) and not any(_meet(one, other) for other in structural))
    ]
    pool = _due_first(_most_answering(fits, evidence))
    if not pool:
        return []
    price = settings.relabel_price
    best = pool[RulePolicy(price).choose(evidence, pool)[0]]
    answered = len(harmful(evidence) & {place for one in done for place in one.alarms})
    value = sum(worth(one, price) for one in done if one.action != KEEP)
    more = _answers(best, evidence) > answered or worth(best, price) > value
    return [best] if more or best.due else []


def pays(proposal: Proposal, settings: AdjustSettings) -> bool:
    """Whether a proposal gains more than it costs, beyond a standard error."""
    return proposal.action != KEEP and worth(proposal, settings.relabel_price) > 0


def harmful(evidence: Evidence) -> frozenset[int]:
    """Places of the alarms that ask for an answer: harmful ones that are no break."""
    return frozenset(
        place for place, one in enumerate(evidence.alarms) if one.harmful and one.subject != BROKEN
    )


def unanswered(evidence: Evidence, settings: AdjustSettings) -> tuple[int, ...]:
    """Places of harmful alarms that nothing proposed answers and pays for; none while anything is
    broken. Where there are some, it is time for the next rung of the ladder."""
    if evidence.blocked:
        return ()
    told = [set(one.alarms) for one in evidence.proposals if pays(one, settings)]
    return tuple(sorted(harmful(evidence) - set().union(*told)))


def passing(evidence: Evidence) -> bool:
    """Whether something changed and nothing is worse for it, so that it may pass by itself: all
    segments are not made anew meanwhile. What has not passed when a challenger is overdue is no
    festival: a shop that always changes a little would else keep its first segments for ever."""
    if evidence.overdue:
        return False
    return any(one.harmful is False for one in evidence.alarms) and not harmful(evidence)


# --- Candidates -----------------------------------------------------------------------------------


def _ordered(proposals: Sequence[Proposal]) -> list[Proposal]:
    """In an order of their own, whichever they came in."""
    return sorted(proposals, key=_key)


def _key(one: Proposal) -> tuple[Any, ...]:
    evidence = json.dumps(dict(one.evidence), sort_keys=True, default=str)
    return (
        LADDER.index(one.action), one.segments, -one.gain, one.gain_error, one.moved, one.cost,
        one.alarms, evidence,
    )  # fmt: skip


def _waits(one: Proposal, evidence: Evidence) -> bool:
    """Whether a change that does no harm is let pass before this is done."""
    if not passing(evidence) or one.action == NUDGE:
        return False
    if one.action in (REFIT, RETRAIN):
        return True
    told = one.evidence.get("foretold")
    if told is None:
        return True
    return one.action == SPLIT and told <= (one.evidence.get("foretold_error") or 0.0)


def _most_answering(pool: Sequence[Proposal], evidence: Evidence) -> list[Proposal]:
    """Those that answer most harmful alarms."""
    most = max((_answers(one, evidence) for one in pool), default=0)
    return [one for one in pool if _answers(one, evidence) == most]


def _answers(one: Proposal, evidence: Evidence) -> int:
    return len(harmful(evidence) & set(one.alarms))


def _due_first(pool: list[Proposal]) -> list[Proposal]:
    """What is due alone, if anything is: it holds what small steps would bring."""
    return [one for one in pool if one.due] or pool


def _small_first(pool: list[Proposal], settings: AdjustSettings, left: float) -> list[Proposal]:
    """Without making all anew where the small steps are worth as much together."""
    pool = _due_first(pool)
    small = [one for one in pool if one.action in SMALL]
    if not small:
        return pool
    price = settings.relabel_price
    best = max(small, key=lambda one: worth(one, price))
    value = sum(worth(one, price) for one in _together(best, small, settings, left))
    return [one for one in pool if one.action in SMALL or worth(one, price) > value]


def _together(
    first: Proposal, candidates: Sequence[Proposal], settings: AdjustSettings, left: float
) -> list[Proposal]:
    """A step and those that go with it, the most worth first; a nudge comes last."""
    rest = [one for one in candidates if one.action in SMALL and one is not first]
    rest.sort(key=lambda one: -worth(one, settings.relabel_price))
    done, moved = [first], first.moved
    for one in rest:
        if moved + one.moved <= left + _EQUAL and not any(_meet(one, other) for other in done):
            done.append(one)
            moved += one.moved
    return sorted(done, key=lambda one: one.action == NUDGE)


def _meet(one: Proposal, other: Proposal) -> bool:
    """Whether two steps touch the same segments, or are of a kind that is done once."""
    if NUDGE in (one.action, other.action):
        return one.action == other.action
    return (_born(one) and _born(other)) or bool(_touched(one) & _touched(other))


def _born(one: Proposal) -> bool:
    return one.action == SPLIT and not one.segments


def _touched(one: Proposal) -> set[str]:
    return {*one.segments, *one.evidence.get("drawn_from", ())}


# --- Reasons --------------------------------------------------------------------------------------


def _kept(reason: str, policy: str) -> Adjustment:
    return Adjustment(KEEP, Proposal(KEEP), 1.0, policy, reason)


def _why_kept(evidence: Evidence, *, waiting: bool) -> str:
    if harmful(evidence):
        return "unanswered"
    if waiting:
        return "not_harmful"
    proposed = any(one.action != KEEP for one in evidence.proposals)
    if any(alarm.harmful is False for alarm in evidence.alarms):
        return "not_harmful"
    return "nothing_pays" if proposed else "nothing_proposed"


def _reason(one: Proposal, evidence: Evidence) -> str:
    if one.due:
        return "due"
    return "answers" if _answers(one, evidence) else "pays"


def _approvals(
    done: Sequence[Proposal], settings: AdjustSettings, *, over: bool
) -> tuple[str, ...]:
    """Codes of `APPROVALS`."""
    asked = ["over_budget"] if over else []
    if sum(one.moved for one in done) > settings.moved:
        asked.append("moved")
    return tuple(asked)
