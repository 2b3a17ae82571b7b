"""What others ask the controller, on a real API server: its tokens, its rights, its objects.

The recipes of docs/loop.md are read from there, and asked as Argo Rollouts and Flagger ask.
"""

import json
import re
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import yaml
from api_server import DEADLINE_SECONDS, ROOT
from ramped import FILE

from abctl.cluster.kube import ClusterClient
from abctl.controller.asked import Asked
from abctl.controller.serve import Pages
from abctl.spec import crd

pytestmark = pytest.mark.process
COMPONENTS = ROOT / "k8s" / "components"
RAMP = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote}"
# Ann may look at experiments, bob may not.
ACCOUNTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {{name: ann, namespace: {place}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: bob, namespace: {place}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: ann, namespace: {place}}}
rules: [{{apiGroups: [abctl.dev], resources: [experiments], verbs: [get]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: ann, namespace: {place}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: ann}}
subjects: [{{kind: ServiceAccount, name: ann, namespace: {place}}}]
"""


def recipes():
    text = (ROOT / "docs" / "loop.md").read_text()
    found = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    wanted = ("AnalysisTemplate", "Canary")
    return {each["kind"]: each["spec"] for each in found if each.get("kind") in wanted}


def own(text, place):
    return text.replace("namespace: models", f"namespace: {place}")


@pytest.fixture
def place(cluster, namespace, tmp_path):
    """A namespace with an experiment, and pages of a controller with the rights that k8s/ gives."""
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=crd.text())
    cluster.await_kinds("experiments.abctl.dev")
    rights = (COMPONENTS / "controller" / "rbac.yaml").read_text()
    asked = (COMPONENTS / "controller-asked" / "asked.yaml").read_text()
    (delegator,) = [e for e in asked.split("---") if "kind: ClusterRoleBinding" in e]
    delegator = delegator.replace("name: abctl-controller-asked", f"name: {namespace}-asked")
    file = FILE.format(name="iris", namespace=namespace, pages=tmp_path / "none", ramp=RAMP)
    given = "---\n".join([own(rights, namespace), own(delegator, namespace)])
    cluster.kubectl("apply", "-f", "-", stdin=f"{given}---{ACCOUNTS.format(place=namespace)}")
    # kubectl would take a key `n` for a truth value.
    made = json.dumps(yaml.safe_load(file))
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=made)
    yield Place(cluster, namespace, tmp_path)
    cluster.kubectl("delete", "clusterrolebinding", f"{namespace}-asked")


class Place:
    def __init__(self, cluster, namespace, folder):
        self.cluster, self.namespace, self.folder = cluster, namespace, folder

    def token(self, account):
        return self.cluster.kubectl("create", "token", account, "-n", self.namespace).strip()

    def pages(self, *, tokens=True):
        path, token = self.folder / "controller.json", self.token("abctl-controller")
        config = self.cluster.write_kubeconfig(path, token, namespace=self.namespace)
        client = ClusterClient(kubeconfig=config)
        asked = Asked(client, (self.namespace,), 60.0, tokens=tokens)
        return Pages("127.0.0.1:0", {}, asked)

    def judged(self, verdict):
        """What a controller says of it after a look."""
        obj = self.cluster.read("experiments.abctl.dev", "iris", "-n", self.namespace)
        status = {
            "observedGeneration": obj["metadata"]["generation"],
            "phase": "Progressing",
            "verdict": verdict,
            "lastLookAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        words = ("patch", "abx", "iris", "-n", self.namespace, "--subresource=status")
        patch = json.dumps({"status": status})
        self.cluster.kubectl(*words, "--type=merge", "--patch", patch)


def answered(pages, url, token=None, body=None):
    path = urlsplit(url).path
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(f"http://127.0.0.1:{pages.port}{path}", body, headers)
    try:
        with urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_argo_rollouts_is_told_the_verdict_by_whoever_may_get_the_object(place):
    (metric,) = recipes()["AnalysisTemplate"]["metrics"]
    url = metric["provider"]["web"]["url"].replace("models/iris", f"{place.namespace}/iris")
    pages = place.pages()
    try:
        assert answered(pages, url)[0] == 401
        assert answered(pages, url, "nobody's")[0] == 401
        code, told = answered(pages, url, place.token("bob"))
        assert (code, "may not get experiments" in told["message"]) == (403, True)
        ann = place.token("ann")
        assert answered(pages, url, ann)[1]["outdated"] == "nobody has looked yet"
        for verdict, wanted in {"continue": (0, 0), "ship": (1, 0), "stop": (0, 1)}.items():
            place.judged(verdict)
            code, result = answered(pages, url, ann)
            assert (code, result["outdated"]) == (200, "")
            ways = (metric["successCondition"], metric["failureCondition"])
            assert tuple(holds(way, result) for way in ways) == wanted
        assert answered(pages, url.replace("/iris", "/other"), ann)[0] in (403, 404)
    finally:
        pages.close()


def holds(condition, result):
    """The conditions of the recipe, which Argo Rollouts would evaluate."""
    parts = [re.fullmatch(r'result\.(\w+) == "(\w*)"', each) for each in condition.split(" && ")]
    return all(result[part[1]] == part[2] for part in parts)


def test_flagger_waits_until_its_gates_open(place):
    hooks = recipes()["Canary"]["analysis"]["webhooks"]
    urls = {e["type"]: e["url"].replace("models/iris", f"{place.namespace}/iris") for e in hooks}
    payload = {"name": "shop", "namespace": "default", "phase": "Waiting", "metadata": {}}
    pages = place.pages(tokens=False)
    try:
        for verdict in ("continue", "ship", "stop"):
            place.judged(verdict)
            codes = {
                gate: answered(pages, url, body=json.dumps(payload).encode())[0]
                for gate, url in urls.items()
            }
            assert codes == {
                "rollback": 200 if verdict == "stop" else 409,
                "confirm-promotion": 200 if verdict == "ship" else 409,
            }
    finally:
        pages.close()
