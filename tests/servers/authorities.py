"""Authorities as some real clusters have them: kubectl trusts them, strict TLS does not.

Python 3.13 is strict by default, so that each of these faults is a reason to refuse a server.
"""

import ssl
import subprocess
from pathlib import Path

import pytest

# Of the authority, of what it signs, and what a strict client says of it.
FAULTS = {
    "no key usage": ("keyUsage = none", "", "does not include key usage"),
    "no subject key": (
        "subjectKeyIdentifier = none",
        "authorityKeyIdentifier = issuer:always",
        "Key Identifier",
    ),
    "no authority key": ("", "authorityKeyIdentifier = none", "Missing Authority Key Identifier"),
    "constraints that may be ignored": ("basicConstraints = CA:TRUE", "", "not marked critical"),
}
_AUTHORITY = {
    "basicConstraints": "critical,CA:TRUE",
    "keyUsage": "critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier": "hash",
    "authorityKeyIdentifier": "keyid",
}
_SIGNED = {"authorityKeyIdentifier": "keyid", "subjectAltName": "IP:127.0.0.1"}
_NO_KEY_USAGE = ("keyUsage", "none")


def make(folder: Path, fault: str) -> Path:
    """Writes ca.crt, and server.crt with server.key for 127.0.0.1, into a folder."""
    of_authority, of_signed, _ = FAULTS[fault]
    _write(folder / "ca.cnf", _AUTHORITY, of_authority)
    _write(folder / "server.cnf", _SIGNED, of_signed)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def req(name: str, *more: str) -> None:
        files = ("-config", f"{name}.cnf", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        command = ("openssl", "req", "-x509", *curve, "-days", "1", *files, *more)
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)

    req("ca")
    req("server", "-CA", "ca.crt", "-CAkey", "ca.key")
    return folder


def serving(folder: Path) -> ssl.SSLContext:
    """TLS of a server with that certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    return tls


def be_strict(monkeypatch: pytest.MonkeyPatch, module: object, maker: str) -> None:
    """What makes contexts in a module makes strict ones, as Python 3.13 does by itself."""
    make_context = getattr(module, maker)

    def strict(*args: object, **options: object) -> ssl.SSLContext:
        tls: ssl.SSLContext = make_context(*args, **options)
        tls.verify_flags |= ssl.VERIFY_X509_STRICT
        return tls

    monkeypatch.setattr(module, maker, strict)


def _write(path: Path, usual: dict[str, str], fault: str) -> None:
    name, _, value = fault.partition(" = ")
    extensions = {**usual, **({name: value} if name else {})}
    lines = [
        f"{key} = {value}" for key, value in extensions.items() if (key, value) != _NO_KEY_USAGE
    ]
    head = ("[req]", "prompt = no", "distinguished_name = dn", "x509_extensions = ext")
    path.write_text("\n".join([*head, "[dn]", f"CN = {path.stem}", "[ext]", *lines, ""]))
