# Stands in for envoyproxy/envoy where there is no registry: the Envoy of the wheel on PyPI.
FROM abctl.dev/base:bookworm
COPY --chmod=755 envoy /usr/local/bin/envoy
ENTRYPOINT ["/usr/local/bin/envoy"]
