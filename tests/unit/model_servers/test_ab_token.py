"""Tokens: what one says comes back, and nothing else is believed."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_runtime.errors import StartError
from ab_runtime.token import Answer, Keys, TokenError

KEYS = Keys(b"u" * 32, {"a": b"1" * 32, "b": b"2" * 32}, "a")
ANSWERS = st.builds(
    Answer,
    variant=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    bucket=st.sampled_from(["none", *map(str, range(100)), "9999"]),
    at_ms=st.integers(0, 2**45),
    unit=st.none() | st.text(min_size=1, max_size=50),
)


@given(ANSWERS)
def test_a_token_says_what_the_answer_was(answer: Answer) -> None:
    read = KEYS.read(KEYS.token(answer))
    assert (read.variant, read.bucket, read.at_ms) == (answer.variant, answer.bucket, answer.at_ms)
    assert read.unit == (KEYS.unit_hash(answer.unit) if answer.unit else None)


@given(ANSWERS, st.integers(0, 400), st.integers(1, 127))
def test_a_changed_token_is_refused(answer: Answer, place: int, change: int) -> None:
    token = KEYS.token(answer)
    i = place % len(token)
    changed = token[:i] + chr((ord(token[i]) + change) % 128) + token[i + 1 :]
    # The last letter may hold bits that belong to no byte.
    if changed != token and i < len(token) - 1:
        with pytest.raises(TokenError):
            KEYS.read(changed)


def test_two_answers_have_different_tokens_and_one_unit_has_one_hash() -> None:
    answer = Answer("control", "7", 1, "alice")
    first, second = KEYS.read(KEYS.token(answer)), KEYS.read(KEYS.token(answer))
    assert first.nonce != second.nonce
    assert first.unit == second.unit != KEYS.unit_hash("bob")


def test_keys_change_without_losing_what_is_out() -> None:
    old = KEYS.token(Answer("control", "7", 1, "alice"))
    both = Keys(KEYS.unit, KEYS.signing, "b")
    assert both.read(old).unit == both.read(both.token(Answer("control", "7", 1, "alice"))).unit
    with pytest.raises(TokenError):
        Keys(KEYS.unit, {"b": b"2" * 32}, "b").read(old)


@pytest.mark.parametrize("token", ["", ".", "1.a.", "1.a.!!", "2.a.AAAA", "1.a." + "A" * 700, "é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        KEYS.read(token)


def test_a_message_is_believed_only_as_it_was_signed() -> None:
    signature = KEYS.sign(b"one")
    assert KEYS.signed(b"one", signature)
    wrong = (b"two", signature), (b"one", ""), (b"one", "c" + signature[1:]), (b"one", "a.\xe9")
    for content, other in wrong:
        assert not KEYS.signed(content, other)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"unit": "00"}',
        json.dumps({"unit": "ab" * 32, "signing": {"a": "ab" * 4}, "current": "a"}),
        json.dumps({"unit": "ab" * 32, "signing": {"a": "ab" * 32}, "current": "b"}),
        json.dumps({"unit": "secret", "signing": {"a": "ab" * 32}, "current": "a"}),
    ],
)
def test_a_bad_file_of_keys_is_refused_without_showing_keys(content: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(StartError) as refused:
        Keys.from_file(file)
    assert "abab" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_fresh_keys_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(Keys.fresh())
    keys = Keys.from_file(file)
    assert keys.read(keys.token(Answer("control", "none", 5, None))).bucket == "none"
