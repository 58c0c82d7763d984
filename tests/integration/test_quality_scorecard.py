"""The scorecard with the real models: from the ledger to `yingshang status`, and through the publish gate."""

import json

import pytest
from tests.support.quality_ledger import NIGHT
from tests.support.quality_marts import NODES, fill_raw

from yingshang import publish
from yingshang.cli.app import main
from yingshang.quality.scorecard import published_levels
from yingshang.quality.status import status

OWN_SUITES = ("rpt_source_scorecard", "dim_expert_history", "dim_organization_history", "dim_division_history")


def cli(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert not ended.value.code, out + err
    return str(out)


def test_status_shows_the_published_levels_worst_first(warehouse, capsys):
    assert published_levels() == []
    assert status().levels == []
    with warehouse.connect("ingest") as ingest:
        fill_raw(ingest)
    with warehouse.admin() as admin:
        admin.execute(
            'update ops.batch set quarantined_rows = 5, source_rows = source_rows + 5, drift = \'{"extra": ["NEW"]}\','
            ' profile = \'{"reasons": {"negative_amount CONTRACT_PRICE": 5}}\''
            " where dataset = 'contract' and node_code = %s",
            (NODES[0],),
        )
    built = publish.build(NIGHT, "run-1")
    assert publish.audit(built.build_id).passed
    with warehouse.admin() as admin:
        mine = admin.execute(
            "select suite, expectation from ops.check_result where stage = 'publish' and not is_success"
            " and severity = 'stop' and split_part(suite, '.', 1) = any(%s)",
            (list(OWN_SUITES),),
        ).fetchall()
        assert mine == []
        run = admin.execute(
            "select count(distinct split_part(suite, '.', 1)) from ops.check_result"
            " where split_part(suite, '.', 1) = any(%s) and stage = 'publish'",
            (list(OWN_SUITES),),
        ).fetchone()
        assert run == (len(OWN_SUITES),)
    publish.publish(built.build_id, "run-1")

    levels = published_levels()
    assert len(levels) == 260
    assert [one.node_quality_level for one in levels] == sorted(
        (one.node_quality_level for one in levels), reverse=True
    )
    (ours,) = (one for one in levels if (one.system, one.node_code) == ("trading", NODES[0]))
    assert ours.reject_reasons == "contract.negative_amount CONTRACT_PRICE (5)"
    assert ours.drift == "contract +NEW"
    assert (ours.datasets, ours.arrived_datasets, ours.missing_datasets) == (7, 7, None)
    assert (ours.quality_level, ours.shortcomings) == ("D", "rejects, unknown codes, orphans, drift")

    said = cli(capsys, "status")
    assert "Quality of 115 nodes as published: 115 D; worst first" in said
    written = json.loads(cli(capsys, "status", "--json"))["levels"]
    (one,) = (one for one in written if (one["system"], one["node_code"]) == ("trading", NODES[0]))
    assert one["reject_rate"] == pytest.approx(float(ours.reject_rate))
