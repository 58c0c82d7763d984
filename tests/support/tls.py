"""Certificates, and a TLS front for a PostgreSQL that was built without OpenSSL: it answers PostgreSQL's SSLRequest."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
HOST = "warehouse.example"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder. ``pem``: its own certificate."""

    folder: Path
    name: str

    @property
    def pem(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @classmethod
    def make(cls, folder: Path, name: str = "authority") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder(name, name, key.public_key(), -1, 30).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        made = cls(folder, name)
        _write(folder / name, key, certificate.sign(key, hashes.SHA256()))
        return made

    def issue(self, host: str = HOST, *, first_day: int = -1, last_day: int = 30) -> tuple[Path, Path]:
        """Files of certificate and key for a server; days from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        loaded = serialization.load_pem_private_key(self.pem.with_suffix(".key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        certificate = (
            _builder(host, self.name, key.public_key(), first_day, last_day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(loaded, hashes.SHA256())
        )
        return _write(self.folder / f"server-{certificate.serial_number}", key, certificate)


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, first_day: int, last_day: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now + first_day * DAY,
        not_valid_after=now + last_day * DAY,
    )


def _write(stem: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> tuple[Path, Path]:
    pem, secret = Path(f"{stem}.pem"), Path(f"{stem}.key")
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@dataclass
class Front:
    """What a TLS front has seen. ``in_clear``: start-up packets (they name user and database) that came in clear."""

    port: int
    in_clear: int = 0
    encrypted: int = 0
    ciphers: set[str] = field(default_factory=set)


@contextlib.contextmanager
def tls_front(server_port: int, certificate: tuple[Path, Path] | None) -> Iterator[Front]:
    """A server on 127.0.0.1 that takes TLS only and hands on to a PostgreSQL at ``server_port``.

    ``certificate`` None: it answers as a PostgreSQL without TLS does.
    """
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    front = Front(int(listener.getsockname()[1]))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(client, front, context, server_port), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _serve(client: socket.socket, front: Front, context: ssl.SSLContext | None, server_port: int) -> None:
    with contextlib.suppress(OSError), client:
        code = _request(client)
        while code == GSS_REQUEST or (code == SSL_REQUEST and context is None):
            client.sendall(b"N")
            code = _request(client)
        if code != SSL_REQUEST or context is None:
            front.in_clear += code is not None
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as shielded,
            socket.create_connection(("127.0.0.1", server_port), timeout=10) as server,
        ):
            front.encrypted += 1
            front.ciphers.add(str(shielded.version()))
            back = threading.Thread(target=_pump, args=(server, shielded), daemon=True)
            back.start()
            _pump(shielded, server)
            back.join(10)


def _request(client: socket.socket) -> int | None:
    """The code of a client's first packet; None when it has gone."""
    head = client.recv(8, socket.MSG_WAITALL)
    return struct.unpack("!ii", head)[1] if len(head) == 8 else None


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
