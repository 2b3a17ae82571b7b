"""Seen from inside the cluster: what abctl's accounts may do there, and who reaches whom."""

import json
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from api_server import wait_for

K8S = Path(__file__).parents[2] / "k8s"
OVERLAY = K8S / "overlays" / "kind-envoy"
EXPERIMENT = K8S / "experiments" / "envoy.yaml"
JOB = yaml.safe_load((K8S / "job.yaml").read_text())
JOB_LABELS = JOB["spec"]["template"]["metadata"]["labels"]
JOB_ACCOUNT = JOB["spec"]["template"]["spec"]["serviceAccountName"]
STRANGERS = "strangers"
OURS = {"abctl.dev/test": "inside"}
PROXY, CLIENT = {"app.kubernetes.io/component": "proxy"}, {"abctl.dev/client": "true"}
FEEDBACK = {"variant": "control", "user": "alice", "outcome": "accuracy", "value": 1}
OWN_VARIANT = {"x-ab-variant": "control"}
FEEDBACK_TO_SERVER = ("POST", "http://iris-control.models:8080/feedback", FEEDBACK, {})
PREDICTIONS = "http://iris-treatment.models:8080/v2/models/iris"
COUNTERS = "http://iris-control.models:8082/metrics"
LOG_PORT = 9902
EVIDENCE = "http://prometheus.models:9090/api/v1/query?query=up"
ENVOYS = "app.kubernetes.io/component=proxy"
COUNT = re.compile(r'ab_client_requests_total\{variant="([a-z]+)",.*\} ([0-9.e+]+)')
ENTRANCE = "http://iris-envoy.models/v2/models/iris"
FEEDBACK_TO_ENTRANCE = ("POST", "http://iris-envoy.models/feedback", FEEDBACK, OWN_VARIANT)
API_SERVER = "https://kubernetes.default.svc"
# Asks for each URL by itself: a packet that is dropped takes until the timeout.
ASK = """
import json, ssl, sys, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor

def ask(question):
    method, url, body, headers = question
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=3, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None

with ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(ask, json.load(sys.stdin)))))
"""

pytestmark = pytest.mark.timeout(1800)


class Inside:
    """Pods of ours in the cluster, and what they are answered."""

    def __init__(self, nodes):
        self.nodes = nodes

    def start(self, name, namespace="models", labels=(), account=None):
        """A pod that waits to be told what to do."""
        spec = json.loads(json.dumps(JOB["spec"]["template"]["spec"]))
        del spec["volumes"], spec["serviceAccountName"]
        (container,) = spec["containers"]
        del container["args"], container["volumeMounts"]
        container |= {"image": "abctl/iris:v1", "command": ["sleep", "infinity"]}
        container["resources"] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
        spec |= {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": bool(account)}
        spec |= {"serviceAccountName": account} if account else {}
        metadata = {"name": name, "namespace": namespace, "labels": {**OURS, **dict(labels)}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        self.nodes.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        wait = ("wait", "--for=condition=Ready", "--timeout=4m", f"pod/{name}", "-n", namespace)
        self.nodes.kubectl(*wait)

    def ask(self, pod, questions, namespace="models"):
        """What a pod is answered: the status for each question, None where it reaches nobody.

        A question is a URL, or (method, URL, body, headers).
        """
        whole = [("GET", each, None, {}) if isinstance(each, str) else each for each in questions]
        words = ("exec", "-i", pod, "-n", namespace, "--", "python", "-c", ASK)
        return json.loads(self.nodes.kubectl(*words, stdin=json.dumps(whole)))

    def await_answers(self, pod, questions, expected, namespace="models"):
        """Rules of the packet filter follow a moment after what they are about."""
        seen = []

        def as_expected():
            seen.append(self.ask(pod, questions, namespace))
            return seen[-1] == expected

        wait_for(as_expected, f"{expected} for {pod}", lambda: seen[-1])

    def abctl(self, *words, account=JOB_ACCOUNT):
        """Runs abctl as the Job that is shown to users; gives its answer, if it did its work."""
        job = json.loads(json.dumps(JOB))
        job["metadata"]["labels"] = OURS
        template = job["spec"]["template"]
        template["metadata"]["labels"] |= OURS
        template["spec"]["serviceAccountName"] = account
        template["spec"]["containers"][0]["args"] = [*words, "-o", "json"]
        # Network policies let a new pod out seconds after it started, on a slow machine many.
        for _ in range(10):
            done, said = self._run(json.dumps(job))
            if done or "nothing answers" not in said:
                break
        assert done, said
        # Answer and remarks are one stream in a log.
        return json.loads(said[said.index("{") : said.rindex("}") + 1])

    def _run(self, job):
        name = self.nodes.kubectl("create", "-o", "name", "-f", "-", stdin=job).strip()

        def status():
            return self.nodes.read(name, "-n", "models")["status"]

        wait_for(lambda: {"succeeded", "failed"} & status().keys(), f"{name}: {job}")
        return "succeeded" in status(), self.nodes.kubectl("logs", name, "-n", "models")

    def pods(self, labels):
        """Those of the experiment with such labels, which are not leaving."""
        found = self.nodes.read("pods", "-n", "models", "-l", f"abctl.dev/experiment,{labels}")
        return [each for each in found["items"] if "deletionTimestamp" not in each["metadata"]]

    def envoy(self, path="", port=9901):
        """Where a pod of Envoy listens, by its address."""
        pod = self.pods(ENVOYS)[0]
        return pod["metadata"]["name"], f"http://{pod['status']['podIP']}:{port}{path}"


@pytest.fixture(scope="module")
def inside(nodes):
    """The overlay as it is written, its experiment where a Job finds it, and pods to ask from."""
    with ExitStack() as left:
        for words in (
            ("namespace", STRANGERS),
            ("jobs,pods", "-n", "models", "-l", "abctl.dev/test=inside"),
            ("configmap", "-n", "models", "iris-experiment", "abctl-iris"),
        ):
            left.callback(nodes.kubectl, "delete", "--ignore-not-found", "--wait=false", *words)
        left.callback(nodes.kubectl, "apply", "-k", str(OVERLAY))
        file = f"--from-file=iris.yaml={EXPERIMENT}"
        nodes.kubectl("create", "configmap", "iris-experiment", "-n", "models", file)
        nodes.kubectl("create", "namespace", STRANGERS)
        yield Inside(nodes)


def test_abctl_does_its_work_as_a_job_with_its_account(inside):
    file = "/experiments/iris.yaml"
    inside.abctl("apply", file, "--yes", "--force", account="abctl")
    entrance = inside.nodes.url("iris-envoy")
    traffic = ("--rate", 50, "--duration", "20s", "--users", 500, "--seed", 1)
    words = (EXPERIMENT, "--yes", "--url", entrance, *traffic)
    assert inside.nodes.abctl("simulate", *words)[0] == 0
    why = ("--yes", "--why", "a Job asks for it")
    shifted = inside.abctl("shift", file, "treatment=50%", *why, account="abctl-shift")
    assert shifted["to"] == {"control": 0.5, "treatment": 0.5}
    assert shifted["confirmed"]
    found = inside.abctl("status", file)
    assert found["programmed"] == found["desired"] == found["asked"] == shifted["to"]
    assert all(each["ready"] for each in found["objects"])
    judged = inside.abctl("analyze", file)
    assert judged["verdict"]["kind"] == "continue"


def test_the_accounts_may_do_their_work_and_nothing_else(inside):
    envoy, _ = inside.envoy()
    core, models = f"{API_SERVER}/api/v1", f"{API_SERVER}/api/v1/namespaces/models"
    rbac = f"{API_SERVER}/apis/rbac.authorization.k8s.io/v1/namespaces/models"
    apps = f"{API_SERVER}/apis/apps/v1/namespaces/models/deployments"
    policies = f"{API_SERVER}/apis/networking.k8s.io/v1/namespaces/models/networkpolicies"
    budgets = f"{API_SERVER}/apis/policy/v1/namespaces/models/poddisruptionbudgets"
    may = {
        f"GET {models}/configmaps/iris-envoy": 200,
        f"GET {models}/pods": 200,
        # Whether another experiment has the same host or Services.
        f"GET {models}/configmaps": 200,
        f"GET {models}/pods/{envoy}:9901/proxy/ready": 200,
        f"GET {apps}/iris-control": 200,
        # The counters, where a file names Prometheus by its Service.
        f"GET {models}/services/prometheus:9090/proxy/api/v1/labels": 200,
        # An annotation makes the node look at a changed ConfigMap.
        f"PATCH {models}/pods/{envoy}/status": 200,
    }
    may_apply = {
        f"DELETE {apps}/none": 404,
        f"DELETE {models}/services/none": 404,
        # It brings the policies of what it applies.
        f"DELETE {policies}/none": 404,
        f"DELETE {budgets}/none": 404,
    }
    may_not = (
        f"GET {models}/secrets",
        f"GET {models}/secrets/any",
        f"GET {models}/pods/{envoy}/log",
        f"POST {models}/pods",
        f"DELETE {models}/pods/{envoy}",
        f"PATCH {models}/pods/{envoy}",
        f"POST {models}/pods/{envoy}/exec?command=id&stdout=true",
        f"POST {models}/pods/{envoy}/portforward",
        # It may look at a proxy, not end it.
        f"POST {models}/pods/{envoy}:9901/proxy/quitquitquit",
        f"POST {models}/serviceaccounts/abctl/token",
        f"POST {rbac}/roles",
        f"PATCH {rbac}/roles/abctl-shift",
        f"POST {rbac}/rolebindings",
        f"GET {policies}",
        f"PATCH {core}/namespaces/models",
        f"GET {core}/namespaces",
        f"GET {core}/nodes",
        f"GET {core}/pods",
        f"GET {core}/namespaces/kube-system/pods",
        f"GET {models}/services/prometheus:9091/proxy/api/v1/labels",
        f"GET {models}/services/iris-collector:8090/proxy/metrics",
        f"GET {core}/namespaces/default/configmaps/kube-root-ca.crt",
        f"PATCH {core}/namespaces/{STRANGERS}/configmaps/kube-root-ca.crt",
    )
    for account, allowed in (("abctl-shift", may), ("abctl", may | may_apply)):
        refused = [*may_not, *(may_apply if account == "abctl-shift" else ())]
        inside.start(account, account=account)
        read = "cat /var/run/secrets/kubernetes.io/serviceaccount/token"
        token = inside.nodes.kubectl("exec", account, "-n", "models", "--", *read.split())
        headers = {"Authorization": f"Bearer {token}"}
        questions = [
            (verb, url, None if verb in ("GET", "DELETE") else {}, headers | _patch(verb))
            for verb, url in (each.split() for each in (*allowed, *refused))
        ]
        inside.await_answers(account, questions, [*allowed.values(), *(403 for _ in refused)])


def _patch(verb):
    return {"Content-Type": "application/merge-patch+json"} if verb == "PATCH" else {}


STRANGER = {
    "of another namespace": (STRANGERS, {}),
    "of the namespace": ("models", {}),
    "that looks like a friend": (STRANGERS, {**PROXY, **CLIENT, **JOB_LABELS}),
}


@pytest.mark.parametrize("kind", STRANGER)
def test_a_stranger_reaches_the_entrance_and_nothing_behind_it(inside, kind):
    namespace, labels = STRANGER[kind]
    inside.start("stranger", namespace, labels)
    (_, admin), (_, log) = inside.envoy("/stats"), inside.envoy("/metrics", LOG_PORT)
    inner = [FEEDBACK_TO_SERVER, PREDICTIONS, COUNTERS, admin, log, EVIDENCE]
    expected = [200, *(None for _ in inner)]
    inside.await_answers("stranger", [ENTRANCE, *inner], expected, namespace)


def test_without_the_policies_the_same_stranger_gets_through(inside):
    inside.start("stranger", STRANGERS)
    (_, admin), (_, log) = inside.envoy("/stats"), inside.envoy("/metrics", LOG_PORT)
    inner = [FEEDBACK_TO_SERVER, PREDICTIONS, COUNTERS, admin, log, EVIDENCE]
    closed, open_ = [None] * len(inner), [200] * len(inner)
    inside.await_answers("stranger", inner, closed, STRANGERS)
    inside.nodes.kubectl("delete", "networkpolicies", "--all", "-n", "models")
    inside.await_answers("stranger", inner, open_, STRANGERS)
    inside.nodes.kubectl("apply", "-k", str(OVERLAY))
    inside.await_answers("stranger", inner, closed, STRANGERS)


def test_who_has_business_there_gets_through(inside):
    _, admin = inside.envoy("/stats")
    inside.start("client", labels=CLIENT)
    servers = [FEEDBACK_TO_SERVER, PREDICTIONS]
    expected = [200, 200, None, None, None]
    inside.await_answers("client", [*servers, COUNTERS, admin, EVIDENCE], expected)
    inside.start("asks", labels=JOB_LABELS)
    inside.await_answers("asks", [EVIDENCE, COUNTERS, FEEDBACK_TO_ENTRANCE], [200, None, 200])
    # A proxy of its own, as Envoy has no Python: it asks servers and nobody else.
    inside.start("proxy", labels=PROXY)
    others = [COUNTERS, EVIDENCE, f"{API_SERVER}/readyz", ENTRANCE]
    inside.await_answers("proxy", [*servers, *others], [200, 200, None, None, None, None])


def test_a_model_server_asks_nobody_and_is_nobody(inside):
    pod = "deployment/iris-control"
    own = "http://127.0.0.1:8080/v2/models/iris"
    others = [PREDICTIONS, ENTRANCE, EVIDENCE, f"{API_SERVER}/readyz"]
    inside.await_answers(pod, [own, *others], [200, None, None, None, None])
    words = ("exec", pod, "-n", "models", "--", "ls", "/var/run/secrets/kubernetes.io")
    assert inside.nodes.kubectl(*words, check=False).returncode


def test_prometheus_scrapes_every_server_and_every_reader_of_a_log(inside):
    pods = inside.pods("abctl.dev/variant") + inside.pods(ENVOYS)
    names = {pod["metadata"]["name"] for pod in pods}
    query = "/api/v1/namespaces/models/services/prometheus:9090/proxy/api/v1/query?query=up"

    def scraped():
        answer = json.loads(inside.nodes.kubectl("get", "--raw", query))["data"]["result"]
        return {each["metric"]["pod"] for each in answer if each["value"][1] == "1"}

    assert len(names) == 4
    wait_for(lambda: names <= scraped(), f"{names} in Prometheus", scraped)


def test_each_request_is_counted_once_by_whichever_pod_it_came_to(inside):
    pods = [pod["metadata"]["name"] for pod in inside.pods(ENVOYS)]

    def counted():
        found = {pod: Counter() for pod in pods}
        for pod in pods:
            page = f"/api/v1/namespaces/models/pods/{pod}:{LOG_PORT}/proxy/metrics"
            for line in inside.nodes.kubectl("get", "--raw", page).splitlines():
                if series := COUNT.fullmatch(line):
                    found[pod][series[1]] += int(float(series[2]))
        return found

    entrance = inside.nodes.url("iris-envoy")
    came_to = set()
    # By one pod alone it would say nothing of several, and few connections may all come to one.
    for seed in range(2, 12):
        before = counted()
        words = ("--requests", 400, "--rate", 100, "--users", 200, "--seed", seed, "-o", "json")
        asked = ("simulate", EXPERIMENT, "--yes", "--url", entrance, *words)
        code, out, err = inside.nodes.abctl(*asked)
        assert code == 0, err
        got = Counter({each["variant"]: each["requests"] for each in json.loads(out)["variants"]})
        assert got.total() == 400

        def since(before=before):
            after = counted()
            return {pod: after[pod] - before[pod] for pod in pods}

        def counted_once(got=got, since=since):
            return sum(since().values(), Counter()) == got

        wait_for(counted_once, f"{got}", since)
        came_to |= {pod for pod, each in since().items() if each.total()}
        if came_to == {*pods}:
            break
    assert came_to == {*pods}
