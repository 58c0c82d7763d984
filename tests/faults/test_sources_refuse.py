"""Logins, certificates and host keys that are not right: closed at once, named, tried once (I6)."""

import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.faults import NEIGHBOUR, VICTIM, Rows, Scene
from tests.support.faults_city import HttpNode, grow
from tests.support.faults_nights import County, mended, refused, tonight
from tests.support.faults_table import ROUNDS, Tally
from tests.support.ingest import csv_of
from tests.support.sftp_county import serving

from localpg import Cluster
from yingshang.errors import CredentialError


@pytest.mark.fault(22, "credentials")
def test_a_wrong_password_fails_at_once_and_is_named(scene: Scene, pg_server: Cluster, tally: Tally) -> None:
    scene.postgres(NEIGHBOUR, pg_server)
    node = scene.postgres(VICTIM, pg_server)
    scene.whole_night()
    parts = urlsplit(node.source.dsn)
    for _ in range(ROUNDS):
        with tally.strike("wrong password of a database") as strike:
            tonight(scene)
            node.add(4, scene.stamp())
            wrong = node.source.dsn.replace(str(parts.password), "wrong")
            scene.warehouse.add_connections({f"trading_{VICTIM}": wrong})
            started = time.monotonic()
            refused(scene, CredentialError, "refuses the login")
            assert time.monotonic() - started < 30
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": node.source.dsn})
            mended(scene)
            strike.cost = scene.cost()


@pytest.mark.fault(22, "credentials")
def test_a_certificate_that_is_not_good_is_refused_without_a_storm_of_retries(
    scene: Scene, city: HttpNode, tally: Tally, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = json.loads((scene.warehouse.state / "secrets" / "connections.json").read_text())[f"trading_{VICTIM}"]
    for variant in ["certificate expired", "certificate for another host"] * ROUNDS:
        with tally.strike(variant) as strike, _https(tmp_path, variant) as (port, shaken):
            grow(scene, city, monkeypatch)
            wrong = uri.replace("http://", "https://").replace(f":{urlsplit(uri).port}/", f":{port}/")
            wrong += f"?ca={tmp_path / 'city.pem'}"
            scene.warehouse.add_connections({f"trading_{VICTIM}": wrong})
            refused(scene, CredentialError, "certificate")
            assert len(shaken) == 1, "it is not tried again and again"
            strike.hit()
            scene.warehouse.add_connections({f"trading_{VICTIM}": uri})
            mended(scene)
            strike.cost = scene.cost()


@contextlib.contextmanager
def _https(folder: Path, variant: str) -> Iterator[tuple[int, list[int]]]:
    """A TLS server with a certificate that its clients would trust, were it not expired or another host's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    days = (-30, -1) if variant.endswith("expired") else (-1, 30)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "city")])
    hosts: list[x509.GeneralName] = (
        [x509.DNSName("other.example")]
        if variant.endswith("host")
        else [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "city.pem", folder / "city.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    shaken: list[int] = []

    class Server(ThreadingHTTPServer):
        def get_request(self) -> Any:
            sock, address = super().get_request()
            shaken.append(1)
            return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1]), shaken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.fault(22, "credentials")
def test_a_changed_ssh_host_key_is_refused_at_once_and_only_asked_for_once(
    scene: Scene, pg_server: Cluster, tally: Tally
) -> None:
    """The county's server comes back with another key than the one we trust: revoked, or somebody in between."""
    scene.postgres(NEIGHBOUR, pg_server)
    with serving(scene.folder / "known") as known:
        county = County(scene, known.root, scene.add(Rows(VICTIM), "files", known.uri(), "csv-gb18030"))
        known.root.mkdir(parents=True)
        scene.open()
        county.deliver(county.new())
        assert scene.ingest() == {}
        scene.publish()
        scene.check()
        for number in range(ROUNDS):
            with tally.strike("SSH host key changed") as strike, serving(scene.folder / f"other_{number}") as other:
                tonight(scene)
                other.root.mkdir(parents=True)
                rows = county.new()
                county.folder = other.root
                county.send(csv_of(rows), len(rows))
                scene.warehouse.add_connections({f"trading_{VICTIM}": other.uri(host_key=known.host_key)})
                started = time.monotonic()
                refused(scene, CredentialError, "refuses us", "HostKeyNotVerifiable")
                assert time.monotonic() - started < 30
                assert len(other.connections) == 1, "it is not tried again and again"
                strike.hit()
                county.folder = known.root
                scene.warehouse.add_connections({f"trading_{VICTIM}": known.uri()})
                county.deliver(rows)
                mended(scene)
                strike.cost = scene.cost()
