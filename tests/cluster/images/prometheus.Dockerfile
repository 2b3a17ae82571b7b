# Stands in for prom/prometheus where there is no registry: the older Prometheus of Debian.
FROM abctl.dev/base:bookworm
COPY --chmod=755 prometheus /bin/prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
