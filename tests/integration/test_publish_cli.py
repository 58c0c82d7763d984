"""`yingshang build`, `publish`, `rollback` as a person runs them, on a project of three small marts."""

from pathlib import Path

import pytest
from tests.support.publishing import Verdict, publisher

from yingshang.cli import main
from yingshang.settings import PROJECT_ROOT

TINY = Path(__file__).parent / "tiny_dbt"


@pytest.fixture
def home(warehouse, tmp_path, monkeypatch) -> Path:
    """An installation whose dbt project is the small one."""
    home = tmp_path / "home"
    (home / "include").mkdir(parents=True)
    (home / "dbt_project").symlink_to(TINY)
    for name in ("contracts", "registry"):
        (home / "include" / name).symlink_to(PROJECT_ROOT / "include" / name)
    monkeypatch.setenv("YINGSHANG_HOME", str(home))
    with warehouse.admin() as admin:
        admin.execute("create table raw.tiny as select n as deal_key, n::numeric as amount_yuan, 0::bigint as seq"
                      " from generate_series(1, 40) as n")  # fmt: skip
        admin.execute("grant select on raw.tiny to yingshang_transform")
    return home


def test_a_person_builds_publishes_and_goes_back(warehouse, home, capsys) -> None:
    def yingshang(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out + err

    code, said = yingshang("build")
    assert (code, "no night has been opened yet" in said) == (2, True)
    code, said = yingshang("build", "--night", "13.8.2024")
    assert (code, "write yyyy-mm-dd" in said) == (2, True)
    code, said = yingshang("publish")
    assert (code, "no build waits for publication" in said) == (2, True)
    code, said = yingshang("build", "--night", "2024-08-13")
    assert (code, "build 1: full (there is nothing to build upon) in slot_a" in said) == (0, True), said
    code, said = yingshang("publish")
    assert (code, "build 1 has not been audited" in said) == (2, True)
    publisher(audit=lambda build_id: Verdict(True)).audit(1)
    code, said = yingshang("publish")
    assert (code, "night 2024-08-13 is published (publication 1, build 1, slot_a" in said) == (0, True), said
    assert "missing from trading: 210000, 210100" in said
    code, said = yingshang("rollback", "--reason", "wrong sums")
    assert (code, "can't go back: slot_b is empty" in said) == (2, True), said
    code, said = yingshang("build", "--night", "2024-08-12")
    assert (code, "nothing to publish: night 2024-08-13 is published" in said) == (0, True), said
    code, said = yingshang("publish", "--retire", "rpt_total")
    assert (code, "needs a --reason" in said) == (2, True), said
