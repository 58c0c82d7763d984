"""`make docs`: one page about the models, with the live slot's catalog when there is a warehouse."""

import shutil
from pathlib import Path

import pytest
from tests.conftest import use_state
from tests.support.publishing import Verdict, cycle, publisher

from yingshang.cli import main
from yingshang.publish.dbt_docs import write_docs
from yingshang.publish.dbt_runner import DbtBuilder

TINY = Path(__file__).parent / "tiny_dbt"


def test_the_page_has_the_catalog_of_the_live_slot(warehouse, tmp_path) -> None:
    with warehouse.admin() as admin:
        admin.execute("create table raw.tiny as select n as deal_key, n::numeric as amount_yuan, 0::bigint as seq"
                      " from generate_series(1, 40) as n")  # fmt: skip
        admin.execute("grant select on raw.tiny to yingshang_transform")
    project = Path(shutil.copytree(TINY, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs")))
    cycle(publisher(DbtBuilder(project), audit=lambda build_id: Verdict(True)))
    found = write_docs(builder=DbtBuilder(project))
    assert (found.slot, found.why) == ("slot_a", None)
    assert found.page == warehouse.state / "docs" / "index.html"
    assert '"type":"numeric(18,2)"' in found.page.read_text(encoding="utf-8").replace(" ", "")


def test_without_a_warehouse_the_page_says_so_and_is_made_all_the_same(tmp_path, monkeypatch, capsys) -> None:
    use_state(monkeypatch, tmp_path / "state")
    with pytest.raises(SystemExit) as ended:
        main(["docs"])
    said = capsys.readouterr().out
    assert not ended.value.code, said
    assert "without a catalog, because no warehouse answers (no connection 'warehouse_publish'" in said
    page = (tmp_path / "state" / "docs" / "index.html").read_text(encoding="utf-8")
    for name in (
        "fct_issue",
        "issue_completion_rate",
        "rpt_source_scorecard",
        "dim_division_history",
        "Sources (\\u6570",
    ):
        assert name in page
