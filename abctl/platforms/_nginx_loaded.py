"""What an nginx says that it has loaded: its split, and the digest of its configuration.

nginx cannot tell, so its configuration holds the answer, and is written with it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from abctl.core.split import Split

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
