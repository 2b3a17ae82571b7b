"""Public data sets, made of their published counts: the p that everybody finds, from tables."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from unit_tables import NAMES, START, experiment_file

from abctl.cli.main import run

# Users and those of them who did it, in control and treatment; the p of the two-sided score test.
# ab_data is Udacity's landing page; Cookie Cats has its gate at level 30 or 40.
PUBLISHED = {
    "ab_data, converted": ((145_274, 17_489), (145_310, 17_264), 0.1899),
    "Cookie Cats, back after 1 day": ((44_700, 20_034), (45_489, 20_119), 0.0744),
    "Cookie Cats, back after 7 days": ((44_700, 8_502), (45_489, 8_279), 0.00155),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_public_data_set_has_the_published_p(name, tmp_path, monkeypatch, capsys) -> None:
    *arms, p = PUBLISHED[name]
    n, did = np.array(arms).T
    users = np.arange(n.sum())
    variant = np.repeat(NAMES, n)
    # Those of each variant who come first did it.
    hit = np.concatenate([np.arange(size) < some for size, some in arms])
    moment = np.full(users.size, START)
    columns = {"user_id": users, "variant": variant, "ts": _times(moment)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    parquet.write_table(pa.table(columns), "exposures.parquet")
    events = {
        "user_id": users[hit],
        "ts": _times(moment[hit] + 3600.0),
        "name": np.full(did.sum(), "did"),
        "value": np.ones(did.sum()),
    }
    parquet.write_table(pa.table(events), "events.parquet")
    metric = "{name: did, role: primary, kind: proportion, of: did, per: user, window: 1d, direction: increase}"  # noqa: E501
    text = experiment_file(metric, test="fixed").replace(".csv", ".parquet")
    (tmp_path / "shop.yaml").write_text(text, encoding="utf-8")
    assert run(["analyze", "shop.yaml", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (comparison,) = found["metrics"][0]["comparisons"]
    assert comparison["effect"]["n"] == list(n)
    assert comparison["effect"]["p"] == pytest.approx(p, rel=0.005)
    assert comparison["effect"]["control"] == pytest.approx(did[0] / n[0])


def _times(seconds):
    return pa.array((seconds * 1e6).astype("int64"), pa.timestamp("us", tz="UTC"))
