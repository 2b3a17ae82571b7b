# What holds the namespaces of a pod.
FROM abctl.dev/base:bookworm
USER nobody
ENTRYPOINT ["/bin/sleep", "infinity"]
