# Stands in for prom/prometheus where there is no registry: the same version, from its Go module.
FROM abctl.dev/base:bookworm
COPY --chmod=755 prometheus /bin/prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
