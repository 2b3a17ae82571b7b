"""TLS to an API server, as a kubeconfig wants it."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from abctl.cluster._login import Certificate
from abctl.cluster.kubeconfig import Entry, unusable
from abctl.files import opened, read


def context(cluster: Entry, certificate: Certificate | None) -> ssl.SSLContext:
    """Verifies whom it talks to, unless the kubeconfig says that it shall not.

    Raises:
        UnreachableError: no certificate where one should be.
    """
    authority = cluster.data("certificate-authority")
    try:
        if authority is None and (path := cluster.path("certificate-authority")):
            authority = read(path)
        tls = ssl.create_default_context(cadata=authority and authority.decode())
        if authority is not None:
            # Python 3.13 refuses authorities without key usage or key identifiers. Some clusters
            # have such (Amazon's, older MicroK8s), and kubectl takes them.
            tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    except (ssl.SSLError, ValueError):
        raise unusable(f"{cluster.words}: certificate-authority: no certificate in it") from None
    except OSError as error:
        raise unusable(f"{cluster.words}: certificate-authority: {error.strerror}") from None
    if cluster.values.get("insecure-skip-tls-verify") is True:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["http/1.1"])
    if certificate:
        try:
            with ExitStack() as held:
                chain, key = (held.enter_context(_file(part)) for part in certificate)
                tls.load_cert_chain(chain, key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise unusable(f"client-certificate and client-key: {reason}") from None
    return tls


@contextmanager
def _file(part: Path | bytes) -> Iterator[Path]:
    """A file that holds it; one of ours can be read by nobody else and is gone at once."""
    if isinstance(part, Path):
        with opened(part):
            yield part
        return
    from tempfile import NamedTemporaryFile  # noqa: PLC0415

    with NamedTemporaryFile() as file:
        file.write(part)
        file.flush()
        yield Path(file.name)


def _no_password() -> str:
    """Instead of a question by OpenSSL."""
    raise ValueError("the key is encrypted, which kubectl does not know either")
