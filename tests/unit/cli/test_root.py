"""The command line's root: quick, and an error is one clear line with the right exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from yingshang.cli import main
from yingshang.cli.app import COMMANDS
from yingshang.errors import WarehouseUnavailable

HEAVY = ("psycopg", "pyarrow", "polars", "pandas", "great_expectations", "dbt", "pydantic", "airflow")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_STATE", str(tmp_path))
    for variable in ("YINGSHANG_WAREHOUSE_DSN", "YINGSHANG_DEBUG", "YINGSHANG_KEYS_FILE"):
        monkeypatch.delenv(variable, raising=False)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_help_names_all_commands_and_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom yingshang.cli import main\ntry:\n    main(['--help'])\n"
        f"finally:\n    print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "heavy: []" in result.stdout
    assert {"contracts", "keys", "warehouse"} <= {
        line.split()[0] for line in result.stdout.splitlines() if line.strip()
    }


def test_each_command_loads_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    import yingshang.cli

    folder = Path(yingshang.cli.__file__).parent
    modules = {file.stem.replace("_", "-") for file in folder.glob("[!_]*.py")} - {"app", "options"}
    assert modules <= set(COMMANDS)
    for name in COMMANDS.keys() & modules:
        assert run(name, "--help") == 0, name
        assert "Usage: yingshang" in capsys.readouterr().out


def test_a_mistyped_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("contract") == 2
    assert "No such command 'contract'" in capsys.readouterr().err


def test_a_missing_dsn_is_wrong_use_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("warehouse", "init") == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("error: YINGSHANG_WAREHOUSE_DSN is not set: ")
    assert out.err.count("\n") == 1


def test_a_dsn_that_does_not_answer_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINGSHANG_WAREHOUSE_DSN", "postgresql://admin:hush-hush@127.0.0.1:1/warehouse")
    assert run("warehouse", "init") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: the warehouse at 127.0.0.1:1/warehouse does not answer")
    assert err.count("\n") == 1
    assert "hush-hush" not in err
    assert "Traceback" not in err


def test_debug_shows_where_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINGSHANG_WAREHOUSE_DSN", "postgresql://127.0.0.1:1/warehouse")
    with pytest.raises(WarehouseUnavailable):
        main(["--debug", "warehouse", "init"])


def test_contracts_check_passes_and_shows_each_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("contracts", "check") == 0
    out = capsys.readouterr().out
    assert out.count("trading.") == 7
    assert "标段（包）" in out


def test_contracts_check_names_every_problem_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "include" / "contracts" / "trading").mkdir(parents=True)
    (home / "include" / "registry").mkdir()
    (home / "include" / "contracts" / "trading" / "lot.yaml").write_text("apiVersion: v3.1.0\nowner: me\n")
    monkeypatch.setenv("YINGSHANG_HOME", str(home))
    assert run("contracts", "check") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 4 found"
    assert lines[1] == "include/contracts/trading/lot.yaml: owner: unknown key"
    assert "include/registry/nodes.csv: missing" in lines


def test_generate_check_fails_on_drift_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from yingshang.settings import settings

    home = tmp_path / "home"
    home.mkdir()
    (home / "include").symlink_to(settings().home / "include")
    monkeypatch.setenv("YINGSHANG_HOME", str(home))
    assert run("contracts", "generate", "--check") == 1
    assert "run `yingshang contracts generate`" in capsys.readouterr().err
    assert not (home / "dbt_project").exists()
    assert run("contracts", "generate") == 0
    assert run("contracts", "generate", "--check") == 0
    written = home / "dbt_project" / "models" / "staging" / "trading" / "_sources.yml"
    written.write_text(written.read_text() + "# by hand\n")
    assert run("contracts", "generate", "--check") == 1


def test_keys_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "init") == 0
    first = (tmp_path / "secrets" / "keys.json").read_text()
    assert run("keys", "init") == 0
    assert (tmp_path / "secrets" / "keys.json").read_text() == first
    assert capsys.readouterr().out.splitlines()[-1].startswith("keys already there: ")
