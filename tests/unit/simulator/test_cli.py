"""``python -m simulator`` says in one line what is wrong and what to do next."""

import json
from pathlib import Path

import pytest
from tests.unit.simulator.conftest import written

from simulator.__main__ import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("simulator: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("command", ["serve", "advance", "truth"])
def test_a_province_must_be_generated_first(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "run `python -m simulator generate" in refused(capsys, command, "--state", str(tmp_path))


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing to stop\n"


def test_a_province_is_not_generated_over_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = str(tmp_path / "state")
    assert main(["generate", "--state", state, "--profile", "tiny"]) == 0
    assert "11 nodes" in capsys.readouterr().out
    assert "there is a province" in refused(capsys, "generate", "--state", state)
    assert main(["advance", "--state", state, "--nights", "2"]) == 0
    assert "night of 2024-08-15" in capsys.readouterr().out
    assert main(["truth", "--state", state, "--night", "2024-08-14"]) == 0
    assert "bid," in capsys.readouterr().out
    assert main(["figures", "--state", state]) == 0
    assert "issues_assigned_total," in capsys.readouterr().out
    assert "there is no night 2024-09-01" in refused(capsys, "truth", "--state", state, "--night", "2024-09-01")
    assert "is not a node of this province" in refused(capsys, "node", "--state", state, "210400", "down")
    assert main(["node", "--state", state, "210203", "wrong_hash"]) == 0


@pytest.mark.parametrize("scale", ["0", "-1", "21", "nan"])
def test_a_senseless_scale_is_refused(scale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not between 0 and 20" in refused(capsys, "generate", "--state", str(tmp_path / "s"), "--scale", scale)


@pytest.mark.parametrize(
    "content",
    ["{", '{"seed": 1}', '{"seed":1,"scale":1,"profile":null,"night":"2024-08-13","counters":{},"format":99}'],
)
def test_a_state_folder_of_something_else_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "province.json").write_text(content)
    assert str(tmp_path / "province.json") in refused(capsys, "truth", "--state", str(tmp_path))


def test_an_advance_that_was_killed_is_taken_up_again(tmp_path: Path) -> None:
    """The night was committed, but neither drops nor truth were written."""
    books = written(tmp_path / "a", profile="tiny", nights=1)
    (tmp_path / "a" / "settled").write_text("20240813")
    (tmp_path / "a" / "truth" / "2024-08-14.csv").unlink()
    for path in (tmp_path / "a" / "sftp").glob("*/outbox/*_20240814*"):
        path.unlink()
    assert main(["advance", "--state", str(tmp_path / "a")]) == 0
    whole = written(tmp_path / "b", profile="tiny", nights=2)
    for folder in ("truth", "sftp"):
        files = {p.relative_to(whole.root): p.read_bytes() for p in (whole.root / folder).rglob("*") if p.is_file()}
        assert {
            p.relative_to(books.root): p.read_bytes() for p in (books.root / folder).rglob("*") if p.is_file()
        } == files
    assert json.loads((tmp_path / "a" / "province.json").read_text())["night"] == "2024-08-15"


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["serve", "--help"], ["node", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "synthetic" in capsys.readouterr().out
