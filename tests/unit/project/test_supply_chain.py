"""The supply chain: hashes, known vulnerabilities, bill of materials, secrets in files, what SECURITY.md promises."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from yingshang.settings import PROJECT_ROOT

BIN = Path(sys.executable).parent
PLANTED = {
    "a DSN": "DSN = 'postgresql://yingshang_ingest:" + "Zk3vT9qLw27XbR@db.example/warehouse'\n",
    "an HMAC key": 'hmac_key = "' + "q8Zt0mXw5N2rV7y" + "Pb4Lk9sJd6Gf1HcTe" + '"\n',
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n",
}


def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", PROJECT_ROOT / ".ci" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lookup(*packages: dict[str, object]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "rich", "version": "1.0", "vulns": []}
HOLED = {"name": "jinja2", "version": "2.11.2", "vulns": [{"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"]}]}
SKIPPED = {"name": "httpx", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (_lookup(CLEAN), 0, "1 packages looked up, no known vulnerability"),
        (_lookup(CLEAN, HOLED), 1, "jinja2 2.11.2: PYSEC-2021-66, fixed in 2.11.3"),
        (_lookup(CLEAN, SKIPPED), 3, "NOT AUDITED: 1 of 2 packages could not be looked up, such as httpx"),
        (_lookup(HOLED, SKIPPED), 1, "NOT AUDITED: 1 of 2"),
        ("", 3, "NOT AUDITED: the advisory service can't be reached from here"),
    ],
)
def test_an_audit_says_clean_only_when_all_was_looked_up(report: str, code: int, said: str) -> None:
    found, words = audit().verdict(report, "")
    assert found == code
    assert said in words


def test_each_lock_is_audited_and_the_worst_counts(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    said = {"a.lock.txt": (3, "NOT AUDITED"), "b.lock.txt": (1, "a hole"), "c.lock.txt": (0, "no known vulnerability")}
    module = audit()
    monkeypatch.setattr(module, "audited", lambda lock: said[lock.name])
    assert module.main([Path(name) for name in said]) == 1
    assert module.main([Path("a.lock.txt"), Path("c.lock.txt")]) == 3
    assert module.main([Path("c.lock.txt")]) == 0
    assert "b.lock.txt: a hole" in capsys.readouterr().err


def test_an_advisory_service_that_does_not_answer_is_no_clean_bill(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"rich==15.0.0 --hash=sha256:{'0' * 64}\n")
    nowhere = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "NO_PROXY": ""}
    done = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / ".ci" / "audit.py"), str(lock)],
        capture_output=True, text=True, timeout=120, check=False, env={**nowhere, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("NOT AUDITED: ")


def test_a_bill_of_materials_has_each_package_with_its_hashes(tmp_path: Path) -> None:
    lock = (PROJECT_ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    some = tmp_path / "lock.txt"
    some.write_text("".join(re.findall(r"^(?:rich|typer)==(?:.*\\\n)+.*\n", lock, re.MULTILINE)), encoding="utf-8")
    bill = tmp_path / "sbom.json"
    command = [BIN / "cyclonedx-py", "requirements", some, "--output-reproducible", "--validate", "--output-file", bill]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    content = json.loads(bill.read_text(encoding="utf-8"))
    assert content["bomFormat"] == "CycloneDX"
    assert [one["name"] for one in content["components"]] == ["rich", "typer"]
    assert all(one["externalReferences"][0]["hashes"] for one in content["components"])


def test_every_package_of_the_lock_has_a_hash_and_no_address() -> None:
    locks = sorted((PROJECT_ROOT / "requirements").glob("*lock.txt"))
    assert [one.name for one in locks] == ["bi.lock.txt", "browser.lock.txt", "lock.txt"]
    for file in (*locks, PROJECT_ROOT / "requirements" / "bootstrap.txt"):
        lock = file.read_text(encoding="utf-8")
        pinned = re.findall(r"^[a-z0-9][^#\n]*==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
        assert pinned
        assert [one.split("==")[0] for one in pinned if "--hash=sha256:" not in one] == []
        assert "://" not in re.sub(r"#.*", "", lock)


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED.keys())
def test_a_secret_in_a_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text(text)
    assert _scanned(file).returncode == 1


def test_a_clean_file_passes_and_nothing_is_excused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text('password = environ["PASSWORD"]\n')
    done = _scanned(file)
    assert done.returncode == 0, done.stdout
    assert json.loads((PROJECT_ROOT / ".secrets.baseline").read_text(encoding="utf-8"))["results"] == {}


def test_the_scan_runs_before_a_commit_and_with_lint() -> None:
    hooks = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert "detect-secrets-hook --baseline .secrets.baseline" in {one["id"]: one for one in hooks}["secrets"]["entry"]
    lint = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8").split("\nlint:")[1].split("\n\n")[0]
    assert "detect-secrets-hook --baseline .secrets.baseline" in lint
    assert "make lint" in (PROJECT_ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_each_test_that_security_md_names_exists() -> None:
    text = (PROJECT_ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", text)
    assert len(named) >= 15
    for path, test in named:
        file = PROJECT_ROOT / path
        assert file.is_file(), path
        assert not test or f"def {test}(" in file.read_text(encoding="utf-8"), f"{path}::{test}"
    rows = text.split("## Threats")[1].split("\n## ")[0].strip().splitlines()[2:]
    assert len(rows) >= 10
    assert [row for row in rows if "`tests/" not in row] == []


def _scanned(file: Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "detect-secrets-hook", "--baseline", PROJECT_ROOT / ".secrets.baseline", file.name]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=60, check=False)
