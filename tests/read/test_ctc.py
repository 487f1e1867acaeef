"""The exact arithmetic by hand and against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openplate.read.ctc import Together, compress, search, text_probability
from tests.read.brute_force import Text, all_texts, logs, outputs


class Prefixes:
    """A grammar whose states are the texts themselves; the prior of each is drawn from its characters."""

    def __init__(self, seed: int, forbidden: frozenset[int] = frozenset()) -> None:
        self.seed = seed
        self.forbidden = forbidden
        self.texts: list[Text] = [()]
        self._states: dict[Text, int] = {(): 0}

    def step(self, state: int, k: int) -> int | None:
        if k in self.forbidden:
            return None
        text = (*self.texts[state], k)
        if text not in self._states:
            self._states[text] = len(self.texts)
            self.texts.append(text)
        return self._states[text]

    def prior_of(self, text: Text) -> float:
        if self.forbidden & set(text):
            return 0.0
        return (0.0, 0.01, 0.2, 0.5, 1.0)[hash((self.seed, text)) % 5]

    def prior(self, state: int) -> float:
        return self.prior_of(self.texts[state])


def every_text(state: int, k: int) -> int | None:
    return 0


def one(state: int) -> float:
    return 1.0


# --- compress


def test_run_of_sure_blanks_becomes_one_blank_and_777_stays() -> None:
    blank, seven = [1.0, 0.0], [0.0, 1.0]
    steps = compress(logs([blank, blank, seven, blank, blank, blank, seven, blank, seven, blank, blank]))
    assert steps.blank == [1, 0, 1, 0, 1, 0, 1]
    assert steps.rows == {1: [0, 1, 0, 1, 0, 1, 0]}
    assert text_probability(steps, [1, 1, 1]) == 1
    assert text_probability(steps, [1, 1]) == text_probability(steps, [1]) == 0


def test_equal_neighbours_without_a_blank_between_are_one_character() -> None:
    steps = compress(logs([[0.0, 1.0]] * 3))
    assert steps.length == 3
    assert text_probability(steps, [1]) == 1


def test_blank_that_is_not_sure_is_kept() -> None:
    assert compress(logs([[0.999, 0.001]] * 4)).length == 4
    assert compress(logs([[0.99999, 0.00001]] * 4)).length == 1


def test_classes_that_are_never_likely_are_left_out() -> None:
    steps = compress(logs([[0.5, 0.5, 0.0, 1e-6], [0.4, 0.1, 0.5, 1e-6]]))
    assert steps.classes == [1, 2]
    assert steps.likely == pytest.approx(np.array([[0.5, 0.1], [0.0, 0.5]]))
    assert steps.rows[2] == pytest.approx([0.0, 0.5])
    assert text_probability(steps, [3]) == 0


@settings(max_examples=50, deadline=None)
@given(outputs(longest=4), st.data())
def test_further_sure_blanks_beside_blanks_change_no_text(probabilities: NDArray[np.float64], data: st.DataObject) -> None:
    blank = np.eye(1, probabilities.shape[1])
    where = data.draw(st.integers(0, len(probabilities)))
    short = np.concatenate([probabilities[:where], blank, probabilities[where:]])
    long = np.concatenate([probabilities[:where], np.repeat(blank, 5, axis=0), probabilities[where:]])
    steps, longer = compress(logs(short)), compress(logs(long))
    for text in all_texts(short):
        assert text_probability(longer, list(text)) == pytest.approx(text_probability(steps, list(text)), abs=1e-12)


# --- text_probability


def test_two_steps_by_hand() -> None:
    # A: "AA", "A-", "-A" = .3*.5 + .3*.4 + .6*.5;  AB: "AB" = .3*.1;  "": "--" = .6*.4;  AA needs a blank between
    steps = compress(logs([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1]]))
    assert text_probability(steps, [1]) == pytest.approx(0.15 + 0.12 + 0.30)
    assert text_probability(steps, [1, 2]) == pytest.approx(0.03)
    assert text_probability(steps, []) == pytest.approx(0.24)
    assert text_probability(steps, [1, 1]) == 0
    assert text_probability(steps, [1, 2, 1]) == 0


def test_doubled_character_takes_only_the_path_with_a_blank() -> None:
    steps = compress(logs([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]]))
    assert text_probability(steps, [1, 1]) == pytest.approx(0.5 * 0.25 * 0.5)


@settings(max_examples=80, deadline=None)
@given(outputs())
def test_every_text_has_the_probability_of_all_its_paths(probabilities: NDArray[np.float64]) -> None:
    steps = compress(logs(probabilities))
    texts = all_texts(probabilities)
    computed = {text: text_probability(steps, list(text)) for text in texts}
    assert computed == pytest.approx(texts, abs=1e-4)  # float32 logarithms, and a blank of 0.9999 counts as 1
    assert sum(computed.values()) == pytest.approx(1, abs=1e-4)


# --- search


def test_best_path_is_not_the_best_text() -> None:
    # The best path is "--" (0.36), but three paths give "A": 0.64.
    result = search(compress(logs([[0.6, 0.4]] * 2)), every_text, one, one, 0)
    assert [f.ids for f in result.found] == [(1,), ()]
    assert [f.probability for f in result.found] == pytest.approx([0.64, 0.36])
    assert result.rest == pytest.approx(0, abs=1e-12)


def test_prior_turns_the_order_and_stays_out_of_the_probability() -> None:
    grammar = Prefixes(0)
    result = search(compress(logs([[0.0, 0.7, 0.3]])), grammar.step, one, lambda s: 0.1 if grammar.texts[s] == (1,) else 1.0, 0)
    assert [(f.ids, round(f.probability, 6), round(f.score, 6)) for f in result.found] == [((2,), 0.3, 0.3), ((1,), 0.7, 0.07)]


def test_text_that_may_not_end_is_not_found() -> None:
    grammar = Prefixes(0)
    result = search(compress(logs([[0.0, 0.7, 0.3]])), grammar.step, one, lambda s: float(grammar.texts[s] == (2,)), 0)
    assert [f.ids for f in result.found] == [(2,)]
    assert result.rest == pytest.approx(0, abs=1e-12)


def test_forbidden_character_is_never_written() -> None:
    grammar = Prefixes(0, frozenset({1}))
    result = search(compress(logs([[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])), grammar.step, one, one, 0)
    # "B" = "B-", "-B" and "BB"; "" = "--"
    assert {f.ids: round(f.probability, 6) for f in result.found} == {(2,): 0.15, (): 0.01}
    assert result.rest == pytest.approx(0, abs=1e-12)


def test_grammar_that_allows_nothing_finds_nothing() -> None:
    result = search(compress(logs([[0.1, 0.9]])), lambda s, k: None, one, lambda s: 0.0, 0)
    assert result.found == ()
    assert result.rest == pytest.approx(0, abs=1e-12)


def test_search_stops_when_the_rest_is_small() -> None:
    steps = compress(logs([[0.0, 0.9, 0.06, 0.04]]))
    assert [len(search(steps, every_text, one, one, 0, rest_share=share).found) for share in (0.2, 0.1, 0.01)] == [1, 2, 3]


def test_search_stops_when_no_text_can_have_a_share_worth_finding() -> None:
    steps = compress(logs([[0.0, 0.4, 0.35, 0.25]]))
    given_up = search(steps, every_text, one, one, 0, least_share=0.41)
    assert (given_up.found, given_up.rest) == ((), pytest.approx(1))
    assert [f.probability for f in search(steps, every_text, one, one, 0, rest_share=0, least_share=0.39).found] == pytest.approx([0.4, 0.35, 0.25])


def test_search_cut_short_bounds_what_it_did_not_see() -> None:
    result = search(compress(logs([[0.0, 0.6, 0.4]] * 3)), every_text, one, one, 0, expansions=1)
    assert result.found == ()
    assert result.rest == pytest.approx(1)


@settings(max_examples=120, deadline=None)
@given(outputs(), st.integers(0, 99), st.integers(1, 6), st.integers(1, 60), st.sampled_from([frozenset(), frozenset({2})]))
def test_found_texts_are_the_best_of_all_and_the_rest_is_a_bound(
    probabilities: NDArray[np.float64], seed: int, most: int, expansions: int, forbidden: frozenset[int]
) -> None:
    steps = compress(logs(probabilities))
    grammar = Prefixes(seed, forbidden)
    exact = {text: text_probability(steps, list(text)) for text in all_texts(probabilities)}
    scores = {text: p * grammar.prior_of(text) for text, p in exact.items()}

    result = search(steps, grammar.step, one, grammar.prior, 0, most, expansions=expansions)

    found = [f.ids for f in result.found]
    assert len(set(found)) == len(found) <= most
    assert [f.probability for f in result.found] == pytest.approx([exact[ids] for ids in found])
    assert [f.score for f in result.found] == pytest.approx([scores[ids] for ids in found])
    left = [score for text, score in scores.items() if text not in found]
    # exactly the best ones, up to prefixes of less than 1e-7 that are not followed
    best = sorted(scores.values(), reverse=True)[: len(found)]
    assert [f.score for f in result.found] == pytest.approx(best, abs=2e-7)
    assert sum(left) <= result.rest + 1e-6


@settings(max_examples=80, deadline=None)
@given(outputs(), st.integers(1, 6), st.integers(1, 40))
def test_rest_is_all_that_was_not_found_where_every_text_is_allowed(probabilities: NDArray[np.float64], most: int, expansions: int) -> None:
    steps = compress(logs(probabilities))
    everything = sum(text_probability(steps, list(text)) for text in all_texts(probabilities))
    result = search(steps, every_text, one, one, 0, most, expansions=expansions)
    # from below it is a bound, from above it is tight: steps that do not sum to 1 (float32) and hopeless prefixes are all it may add
    left = everything - sum(f.probability for f in result.found)
    assert left - 1e-6 <= result.rest <= left + 1e-5


@settings(max_examples=50, deadline=None)
@given(outputs(longest=4, most_classes=3), st.integers(0, 99))
def test_search_to_the_end_finds_every_text(probabilities: NDArray[np.float64], seed: int) -> None:
    steps = compress(logs(probabilities))
    grammar = Prefixes(seed)
    scores = {t: text_probability(steps, list(t)) * grammar.prior_of(t) for t in all_texts(probabilities)}
    result = search(steps, grammar.step, one, grammar.prior, 0, most=1000, rest_share=0, expansions=1000)
    assert {f.ids for f in result.found} >= {t for t, score in scores.items() if score > 1e-6}
    assert result.rest < 1e-5


def test_search_that_is_told_what_cannot_follow_gets_farther_with_the_same_work() -> None:
    # Only texts of class 1 may end. "", "1" and "11" are all there are; told so, the search does not wait for what begins with another class.
    steps = compress(logs([[0.2, 0.3, 0.5]] * 3))
    grammar = Prefixes(0)

    def allowed(state: int) -> float:
        return float(set(grammar.texts[state]) <= {1})

    told = search(steps, grammar.step, allowed, allowed, 0, expansions=4)
    untold = search(steps, grammar.step, one, allowed, 0, expansions=4)
    # "1": .3³ + 2·.3²·.2 + 3·.3·.2²; "11": .3·.2·.3; "": .2³
    assert {f.ids: round(f.probability, 6) for f in told.found} == {(1,): 0.099, (1, 1): 0.018, (): 0.008}
    assert told.rest == pytest.approx(0, abs=1e-12)
    assert len(untold.found) < 3
    assert untold.rest > 0.5


# --- several crops together


def joint_scores(crops: list[NDArray[np.float64]], powers: list[float], grammar: Prefixes) -> dict[Text, float]:
    """Prior × Π probability ^ power of every text, by brute force."""
    steps = [compress(logs(crop)) for crop in crops]
    texts = {text for crop in crops for text in all_texts(crop)}
    return {
        text: grammar.prior_of(text)
        * float(np.prod([max(LEAST, text_probability(one, list(text))) ** w for one, w in zip(steps, powers, strict=True)]))
        for text in texts
    }


LEAST = 1e-9


@settings(max_examples=80, deadline=None)
@given(outputs(longest=4), outputs(longest=4), st.integers(0, 3), st.floats(0.1, 0.9), st.floats(1.0, 1.6), st.integers(1, 40))
def test_search_through_two_crops_finds_the_best_of_all_texts_and_bounds_the_others(
    first: NDArray[np.float64], second: NDArray[np.float64], seed: int, share: float, evidence: float, expansions: int
) -> None:
    powers = [evidence * share, evidence * (1 - share)]
    grammar = Prefixes(seed)
    scores = joint_scores([first, second], powers, grammar)

    result = search(
        Together([compress(logs(first)), compress(logs(second))], powers, LEAST), grammar.step, one, grammar.prior, 0, expansions=expansions
    )

    found = [f.ids for f in result.found]
    assert [f.score for f in result.found] == pytest.approx([scores[ids] for ids in found])
    best = sorted(scores.values(), reverse=True)[: len(found)]
    assert [f.score for f in result.found] == pytest.approx(best, abs=2e-7)
    assert sum(score for text, score in scores.items() if text not in found) <= result.rest + 1e-5


def test_one_crop_with_power_one_is_itself() -> None:
    steps = compress(logs([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.7, 0.2, 0.1]]))
    alone, together = search(steps, every_text, one, one, 0), search(Together([steps], [1.0], 1e-12), every_text, one, one, 0)
    assert [f.ids for f in together.found] == [f.ids for f in alone.found]
    assert [f.score for f in together.found] == pytest.approx([f.score for f in alone.found])
    assert together.rest == pytest.approx(alone.rest, abs=1e-9)


def test_text_that_is_the_best_of_neither_crop_may_be_the_best_of_both() -> None:
    # Half of each crop's weight lies on a text that the other one rules out; what both allow is the second of each.
    first, second = compress(logs([[0.0, 0.55, 0.0, 0.45]])), compress(logs([[0.0, 0.0, 0.55, 0.45]]))
    result = search(Together([first, second], [0.5, 0.5], 1e-9), every_text, one, one, 0)
    assert result.found[0].ids == (3,)
    assert result.found[0].score == pytest.approx(0.45)


def test_crop_that_shows_nothing_rules_no_text_out() -> None:
    clear, covered = compress(logs([[0.0, 1.0]])), compress(logs([[1.0, 0.0]]))
    result = search(Together([clear, covered], [0.5, 0.5], 1e-9), every_text, one, one, 0, least_share=0.0)
    assert {f.ids: round(f.score, 9) for f in result.found} == {(): round(1e-9**0.5, 9), (1,): round(1e-9**0.5, 9)}
