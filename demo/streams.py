"""Simulate streams of monthly drops to see how often the rules of the decision are right, and what they earn.

Every stream is a world of its own: 8 numbers and 4 categories, 20% churn, a best possible ROC AUC of .77, 24 drops of
1,000 rows. The first drop makes the first model; from the second on each drop is judged, challengers are compared
and promoted by the very functions that a tick calls. F1 is that of each drop by the model in production, before
anything has trained on the drop; the same is measured for a model retrained on everything after every drop, and for
the first model, never replaced.

    python demo/streams.py --streams 50 --kinds relation gradual

A stream takes about five seconds of a processor.
"""

import argparse
import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import numpy as np
import pandas as pd

from churn import drift, measures
from churn.contest import comparison, prequential
from churn.contest.comparison import Scored
from churn.contest.prequential import Rows, Standing
from churn.drift import Judgement, Reference, Seen
from churn.estimators import Design, risks
from churn.fitting import learning, selection
from churn.monitoring import profile
from churn.settings import Drift, Promotion
from demo.streams_summary import Outcome, Tick, false_verdicts, found_by, gained, lines, promotions, table
from demo.worlds import COLUMNS, DROPS, KINDS, ROWS, World, world

__all__ = [
    "COLUMNS", "DROPS", "KINDS", "ROWS", "Outcome", "Stream", "Tick", "World", "false_verdicts", "found_by", "gained",
    "lines", "main", "promotions", "rules", "simulate", "simulated", "table", "world",
]  # fmt: skip

FIRST_SEED = 100_000  # smaller ones were used while the rules were chosen


@dataclass(frozen=True)
class Champion:
    """A model in production, in memory."""

    fitted: selection.Fitted
    trained_up_to: int
    reference: Reference
    profile: dict
    f1: float


@dataclass
class State:
    """Where a stream stands: the champion, the release before it, and what was judged so far."""

    champion: Champion
    before: Champion | None = None
    judgements: list[Judgement] = field(default_factory=list)
    mine: int = 0  # the first judgement on the champion
    deployed_at: int | None = None  # the drop after which it replaced another

    def replace(self, champion: Champion, before: Champion | None, now: int) -> None:
        """Put another model into production after a drop."""
        self.champion, self.before, self.mine, self.deployed_at = champion, before, len(self.judgements), now


class Stream:
    """One stream: its drops, and the predictions made of them, each made once."""

    def __init__(self, law: World, drops: int | None = None) -> None:
        self.law, self.drops = law, drops or DROPS
        self.frames = {number: law.drop(number) for number in range(1, self.drops + 1)}
        self.left = {number: frame["left"].to_numpy() for number, frame in self.frames.items()}
        self.predict = functools.lru_cache(maxsize=None)(self._predict)
        self.known: dict[tuple[int, int], Scored] = {}  # risks by model and drop

    def fit(self, weights: Mapping[int, float], folds: int = learning.FOLDS) -> selection.Fitted:
        """Fit on the drops that are named, each row weighing what its drop does."""
        frame = pd.concat([self.frames[drop] for drop in weights], ignore_index=True)
        return selection.fit(
            frame,
            frame["left"].to_numpy(),
            COLUMNS,
            Design("logistic", {}),
            groups=np.arange(len(frame), dtype=np.uint64),
            seed=0,
            threads=1,
            weights=np.repeat(list(weights.values()), ROWS),
            folds=folds,
        )

    def scored(self, fitted: selection.Fitted, drop: int) -> Scored:
        """A champion's risks of a drop."""
        key = id(fitted), drop
        if key not in self.known:
            self.known[key] = Scored(risks(fitted.model, self.frames[drop]), fitted.threshold)
        return self.known[key]

    def _predict(self, weights: tuple[tuple[int, float], ...], drop: int) -> Scored:
        fitted = self.fit(dict(weights), prequential.FOLDS)
        return Scored(risks(fitted.model, self.frames[drop]), fitted.threshold)

    def champion(self, weights: Mapping[int, float], drop: int) -> Champion:
        """A model trained for production after a drop."""
        fitted = self.fit(weights)
        known = fitted.out_of_fold
        trained = pd.concat([self.frames[number] for number in weights], ignore_index=True)
        recent = learning.recent(np.repeat(list(weights), ROWS))
        left, risk = known.left[recent], known.risk[recent]
        return Champion(
            fitted,
            drop,
            learning.reference(left, risk),
            profile.build(trained[recent], COLUMNS, risk=risk, left=left),
            measures.scores(known.left, known.risk, fitted.threshold)["f1"],
        )

    def run(self) -> list[Tick]:
        """Judge and decide drop after drop."""
        state = State(first := self.champion({1: 1.0}, 1))
        champions, ticks = [first], []  # kept alive: `known` tells them apart by their identity
        for now in range(2, self.drops + 1):
            champion, scored = state.champion, self.scored(state.champion.fitted, now)
            judgement, shifts = self.judge(state, scored, now)
            suspects = drift.suspects(state.judgements)
            action, weights = self.decide(state, judgement.onset, suspects, now)
            if action == "promote":
                state.replace(self.champion(weights, now), champion, now)
                champions.append(state.champion)
            elif action == "roll back":
                state.replace(state.before, None, now)
            f1 = self.f1(scored, now)
            everything = self.predict(tuple(dict.fromkeys(range(1, now), 1.0).items()), now)
            ticks.append(
                Tick(
                    now,
                    judgement.verdict,
                    drift.raw_rule(f1, champion.f1),
                    bool(np.mean([shift.p_value < 0.05 for shift in shifts]) > 0.5),
                    action,
                    f1,
                    self.f1(everything, now),
                    self.f1(self.scored(first.fitted, now), now),
                    action == "promote" and self.law.kind == "flipped" and self.law.since in weights,
                )
            )
        return ticks

    def judge(self, state: "State", scored: Scored, now: int) -> tuple[Judgement, list[profile.Shift]]:
        """The verdict on the champion after a drop, and what has shifted in its columns."""
        policy = Drift()
        seen, shifts = self.see(state.champion, scored, now, policy.psi)
        judgement = drift.judge(
            state.champion.reference,
            state.judgements[state.mine :],
            seen,
            auc_z=policy.auc_z,
            label_points=policy.label_points,
            latest=state.judgements[-1] if state.judgements else None,
        )
        state.judgements.append(judgement)
        return judgement, shifts

    def decide(self, state: "State", onset: int | None, suspects: set[int], now: int) -> tuple[str, dict[int, float]]:
        """What is done after a drop, and how much each drop weighs for a model that is to be promoted."""
        champion, before, drops = state.champion, state.before, range(1, now + 1)
        alarmed = drift.alarmed_twice(state.judgements[state.mine :])
        decision = prequential.decide(
            Standing(champion.trained_up_to, drops, suspects, onset, state.deployed_at, alarmed),
            lambda drop: Rows(self.left[drop], self.scored(champion.fitted, drop), {}),
            lambda weights, drop: self.predict(tuple(weights.items()), drop),
            Promotion(),
            rival="champion",
            before=("before", lambda drop: self.scored(before.fitted, drop)) if before else None,
        )
        return decision.action, prequential.training_weights(decision.recipe or "all", drops, suspects, onset)

    def see(self, champion: Champion, scored: Scored, now: int, psi: float) -> tuple[Seen, list[profile.Shift]]:
        """What a drop shows of the champion."""
        left = self.left[now]
        auc, influence = comparison.roc_auc(left, scored.risk)
        shifts = profile.shifts(champion.profile, self.frames[now], scored.risk)
        limit = drift.SHIFT_P / len(shifts)
        shifted = {shift.column: shift.words for shift in shifts if shift.psi > psi and shift.p_value < limit}
        error = comparison.error_of(influence)
        return Seen(now, ROWS, ROWS, int(left.sum()), auc, error, shifted), [s for s in shifts if s.kind != "risk"]

    def f1(self, scored: Scored, drop: int) -> float:
        """F1 on a drop."""
        return comparison.f1(self.left[drop], scored.risk, scored.threshold)[0]


# ---- many streams ----------------------------------------------------------------------------------------------------


def simulate(kind: str, seed: int, drops: int | None = None) -> Outcome:
    """Run one stream, of DROPS drops or fewer; a short one changes two drops before its end."""
    law = world(kind, seed)
    if drops:
        law = replace(law, since=min(law.since, drops - 2))
    return Outcome(kind, law.since, Stream(law, drops).run())


def simulated(kind: str, streams: int, first_seed: int, workers: int, drops: int | None = None) -> list[Outcome]:
    """Run many streams, with progress on stderr."""
    seeds = range(first_seed, first_seed + streams)
    run = functools.partial(simulate, kind, drops=drops)
    found = []
    with ProcessPoolExecutor(workers) if workers > 1 else contextlib.nullcontext() as pool:
        for outcome in pool.map(run, seeds) if pool else map(run, seeds):
            found.append(outcome)
            if len(found) % 10 == 0:
                print(f"{kind}: {len(found)} of {streams} streams", file=sys.stderr, flush=True)
    return found


class Sized(Protocol):
    """What of a benchmark's size is read here."""

    @property
    def streams(self) -> Mapping[str, int]:
        """How many streams of each kind."""

    @property
    def stream_drops(self) -> int:
        """How many drops each has."""

    @property
    def workers(self) -> int:
        """How many processes."""


def rules(_scratch: Path, _files: list[Path], size: Sized) -> Iterator[tuple[str, ...]]:
    """A part of demo/bench.py."""
    for kind, count in size.streams.items():
        yield from lines(kind, simulated(kind, count, FIRST_SEED, size.workers, size.stream_drops))


def main(argv: list[str] | None = None) -> int:
    """Simulate and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=300, help="of each kind (default: 300)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"default: {FIRST_SEED}")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args(argv)
    found = {kind: simulated(kind, options.streams, options.first_seed, options.workers) for kind in options.kinds}
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
