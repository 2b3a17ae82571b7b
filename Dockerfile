# abctl itself, for Jobs in a cluster (k8s/job.yaml). From the root of the repository:
#   docker build -t abctl/abctl:dev .
# Behind a proxy with a CA of its own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
FROM python:3.11-slim

WORKDIR /src
# What abctl needs changes seldom: a layer of its own.
COPY constraints.txt pyproject.toml ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb')); \
print(*project['build-system']['requires'], *project['project']['dependencies'], sep='\n')" > needed.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement needed.txt
COPY LICENSE ./
COPY abctl/ abctl/
RUN ["pip", "install", "--no-cache-dir", "--no-deps", "--no-build-isolation", "."]

# Only /tmp is written to, and only to keep answers of Prometheus: the root file system can be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 XDG_CACHE_HOME=/tmp
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["abctl"]
