"""nginx's split_clients: its hash and ranges, its block in a configuration, and what is loaded.

nginx takes MurmurHash2 (Appleby, 2008; 32 bits, seed 0) of a text and gives consecutive ranges of
the hash to the values in the order of the file. The rest is that of `*`.

nginx cannot tell which configuration it has loaded. So the configuration holds the answer, its
split and its digest, and is written with it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from abctl.core.assignment import Place, hashed, regions
from abctl.core.experiment import Assignment
from abctl.core.split import TOTAL_BP, Split

VARIABLE = "abctl_split"
# An id that was sent several times is one; nginx has all values of a header as one text.
ONE_ID = r"[ \t]*(.+?)(?:, \1)*[ \t]*"
_ONE_ID = re.compile(ONE_ID, re.DOTALL)
_TOP = 0xFFFFFFFF
_MULTIPLIER = 0x5BD1E995
# Shares of zero cannot be written, and the order of the variants is not that of the ranges.
_NAMES = "# variants:"
_BLOCK = re.compile(r'split_clients\s+(?:"[^"]*"|\S+)\s+\$(\w+)\s*\{([^{}]*)\}')
_PART = re.compile(r"\s*(\*|(\d+(?:\.\d{1,2})?)%)\s+([^\s;]+)\s*")


def murmur2(data: bytes) -> int:
    """The hash of a text, from 0 to 2^32 - 1."""
    found = len(data) & _TOP
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        word = int.from_bytes(data[i : i + 4], "little") * _MULTIPLIER & _TOP
        word = (word ^ word >> 24) * _MULTIPLIER & _TOP
        found = found * _MULTIPLIER & _TOP ^ word
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _TOP
    found = (found ^ found >> 13) * _MULTIPLIER & _TOP
    return found ^ found >> 15


def ranges(split: Split) -> list[tuple[str, int]]:
    """Variants and shares (basis points) in the order of the file, the last as `*`.

    A single treatment grows up from 0, several each in a region of its own, and the control fills
    the rest: so a treatment that grows takes users only from the control.
    """
    if len(split.names) == 2 and TOTAL_BP not in split.shares_bp:  # noqa: PLR2004
        control, treatment = split.names
        return [(treatment, split[treatment]), (control, split[control])]
    return [(region.variant, region.stop - region.start) for region in regions(split)]


def draw(rules: Assignment, split: Split, unit: str) -> Place:
    """Where nginx places a unit.

    Each range ends where nginx's whole numbers say, which is at most a few parts in 2^32 away from
    its share; the point is the hash as a number of [0, 10 000).
    """
    once = _ONE_ID.fullmatch(unit)
    found = murmur2(hashed(f"{rules.salt}:{once[1] if once else unit}"))
    edge = stop = 0
    owner, start = "", 0
    for name, share in ranges(split):
        owner, start, stop = name, stop, stop + share
        edge += share * _TOP // TOTAL_BP
        if found < edge:
            break
    # Beyond all edges it is the last one's, whose range is that of *.
    point = min(max(found * TOTAL_BP >> 32, start), stop - 1)
    return Place(owner, point, start, stop)


def block(text: str, split: Split, variable: str = VARIABLE) -> str:
    """The block that splits by a text (in nginx's own notation)."""
    return f'split_clients "{text}" ${variable} {{{_body(split)}}}'


def _body(split: Split) -> str:
    *first, (last, _) = ranges(split)
    lines = [
        f"{_NAMES} {' '.join(split.names)}",
        *(f"{share / 100:g}% {name};" for name, share in first),
        f"* {last};",
    ]
    return "".join(f"\n    {line}" for line in lines) + "\n  "


def find(text: str) -> re.Match[str] | None:
    """The block that carries the split: abctl's own, or the only one of the configuration.

    Raises:
        ValueError: there are several.
    """
    blocks = list(_BLOCK.finditer(text))
    own = [each for each in blocks if each[1] == VARIABLE]
    if len(own or blocks) > 1:
        raise ValueError(f"{len(blocks)} blocks of split_clients, must be one")
    return next(iter(own or blocks), None)


def read(body: str) -> Split:
    """The split of a block; where it does not name its variants, `*` is the control.

    Raises:
        ValueError: something else than percentages and values, or no `*`.
        SpecError: more than 100%.
    """
    lines = [line.strip() for line in body.splitlines()]
    parts = list(_parts(line.partition("#")[0] for line in lines))
    if not parts or parts[-1][0] is not None:
        raise ValueError("its last value must be that of *")
    names = _noted(lines) or list(dict.fromkeys(name for _, name in reversed(parts)))
    shares = dict.fromkeys(names, 0)
    for share, name in parts[:-1]:
        shares[name] += share or 0
    shares[parts[-1][1]] += TOTAL_BP - sum(shares.values())
    return Split(tuple(shares), tuple(shares.values()))


def names_of(body: str) -> list[str]:
    """The variants of a block, whatever their shares; by its values if it does not name them."""
    lines = [line.strip() for line in body.splitlines()]
    if noted := _noted(lines):
        return noted
    statements = " ".join(line.partition("#")[0] for line in lines).split(";")
    values = [words[-1] for words in map(str.split, statements) if words]
    return list(dict.fromkeys(reversed(values)))


def _noted(lines: Iterable[str]) -> list[str]:
    found = (line.removeprefix(_NAMES).split() for line in lines if line.startswith(_NAMES))
    return next(found, [])


def _parts(lines: Iterable[str]) -> Iterable[tuple[int | None, str]]:
    for statement in " ".join(lines).split(";"):
        if statement.strip():
            part = _PART.fullmatch(statement)
            if part is None:
                raise ValueError(f"{statement.strip()!r} is not a percentage and a value")
            yield (None if part[2] is None else round(float(part[2]) * 100)), part[3]


def replaced(text: str, found: re.Match[str], split: Split) -> str:
    """The configuration with another split in the block that was found."""
    return text[: found.start(2)] + _body(split) + text[found.end(2) :]


PATH = "loaded"
_SERVER = """\
  # What is loaded, for abctl to ask every pod.
  server {{
    listen {listen};
    location = /{path} {{
      default_type application/json;
      return 200 '{{}}';
    }}
  }}
"""
_ANSWER = re.compile(rf"(location = /{PATH} {{[^}}]*return 200 ')([^']*)(';)")


def server(listen: str) -> str:
    """The server that answers; what, is yet to be written.

    Args:
        listen: the port, or address and port.
    """
    return _SERVER.format(listen=listen, path=PATH)


def written(text: str, split: Split) -> str:
    """The configuration with the answer that is right for it, if it has a place for one."""
    bare = _ANSWER.sub(r"\1{}\3", text)
    digest = hashlib.sha256(bare.encode()).hexdigest()[:16]
    shares = dict(zip(split.names, split.shares_bp, strict=True))
    answer = json.dumps({"split": shares, "digest": digest})
    return _ANSWER.sub(lambda found: f"{found[1]}{answer}{found[3]}", bare)


def status(text: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the answer of a pod makes the status of the ConfigMap with this configuration."""
    found = _ANSWER.search(text)
    wanted = json.loads(found[2]) if found else {}
    if answer != wanted and answer.get("split") == wanted.get("split"):
        return {"refusal": "has an older configuration"}
    return {"loaded": answer}


def split_of(loaded: Mapping[str, Any]) -> Split:
    """The split that a pod says it has.

    Raises:
        SpecError, LookupError, TypeError: it is not an answer of such a pod.
    """
    shares = loaded["split"]
    return Split(tuple(shares), tuple(shares.values()))
