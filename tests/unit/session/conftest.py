"""An experiment as a user has written it."""

import pytest

from abctl.core.experiment import Experiment
from abctl.spec import parse

_FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: s, buckets: 16}
  variants:
    - {name: control, split: 90%, model: {name: iris, version: v1, image: "abctl/iris:v1"}}
    - {name: treatment, split: 10%, model: {name: iris, version: v2, image: "abctl/iris:v2"}}
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease}
  source: {scrape: {file: pages.jsonl}}
"""


@pytest.fixture
def written() -> Experiment:
    """What is in a file, with the words of the file."""
    return parse(_FILE, "iris.yaml")
