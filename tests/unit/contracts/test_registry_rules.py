"""A registry that names what does not exist is refused, with file and line."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from yingshang.contracts.registry import Registry, load_registry
from yingshang.errors import RegistryError

NODES = """node_code,name,level,parent_code,pool
210000,辽宁省,province,,source_province
210100,沈阳市,city,210000,source_city
210102,和平区,county,210100,source_county
"""
PROVISIONS = """system,dataset,node_code,connector,format,cadence,valid_from
trading,lot,210000,postgres,,daily,2022-01-01
trading,lot,210100,http,,daily,2022-01-01
trading,lot,210102,files,xlsx,daily,2024-08-14
"""
QUORUM = """system,required_nodes,min_share
trading,210000,0.8
"""


def load(root: Path, nodes: str = NODES, provisions: str = PROVISIONS, quorum: str = QUORUM) -> Registry:
    for name, text in (("nodes", nodes), ("provisions", provisions), ("quorum", quorum)):
        (root / f"{name}.csv").write_text(text, encoding="utf-8")
    return load_registry(root, datasets=["trading.lot", "trading.bid"])


def test_a_registry_answers_who_provides_what(tmp_path: Path) -> None:
    registry = load(tmp_path)
    assert [node.node_code for node in registry.nodes_of("trading")] == ["210000", "210100", "210102"]
    [provision] = registry.provisions_of("trading", "210102")
    assert (provision.name, provision.connector, provision.format) == ("trading.lot", "files", "xlsx")
    assert provision.conn_id == "trading_210102"


def test_a_provision_is_due_from_its_first_night_on(tmp_path: Path) -> None:
    registry = load(tmp_path)
    assert registry.provisions_of("trading", "210102", night=date(2024, 8, 13)) == ()
    assert len(registry.provisions_of("trading", "210102", night=date(2024, 8, 14))) == 1
    assert len(registry.nodes_of("trading", night=date(2024, 8, 13))) == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("trading,lot,219999,postgres,,daily,2022-01-01", "unknown node '219999' (dataset trading.lot)"),
        ("trading,lots,210100,postgres,,daily,2022-01-01", "unknown dataset trading.lots (node 210100)"),
        ("tradin,lot,210100,postgres,,daily,2022-01-01", "unknown dataset tradin.lot (node 210100)"),
        ("trading,bid,210100,oracle,,daily,2022-01-01", "connector 'oracle' is not one of postgres, http, files"),
        ("trading,bid,210100,files,pdf,daily,2022-01-01", "format 'pdf' of connector files must be csv-gb18030"),
        ("trading,bid,210100,http,xml,daily,2022-01-01", "format 'xml' of connector http must be empty"),
        ("trading,bid,210100,http,,hourly,2022-01-01", "cadence 'hourly' is not one of daily"),
        ("trading,bid,210100,http,,daily,2022-13-01", "valid_from '2022-13-01' is not a date"),
        ("trading,lot,210100,http,,daily,2022-01-01", "trading.lot of node 210100 stands here twice"),
        ("trading,lot,210100,http", "7 fields expected"),
        ("trading,lot,210100,http,,daily,2022-01-01,x", "7 fields expected"),
    ],
)
def test_a_wrong_provision_is_named_with_file_and_line(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load(tmp_path, provisions=PROVISIONS + line + "\n")
    assert str(caught.value).splitlines()[0].startswith(f"{tmp_path / 'provisions.csv'}:5: {expected}")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2102,大连市,city,210000,source_city", "nodes.csv:5: node_code '2102' is not a 6-digit"),
        ("210200,大连市,town,210000,source_city", "nodes.csv:5: level 'town' is not one of"),
        ("210200,大连市,city,210000,", "nodes.csv:5: pool of node 210200 is empty"),
        (
            "210200,大连市,city,220000,source_city",
            "nodes.csv: 210200: the parent '220000' of a city must be a known province",
        ),
        (
            "210103,沈河区,county,210000,source_county",
            "nodes.csv: 210103: the parent '210000' of a county must be a known city",
        ),
        ("210100,沈阳市,city,210000,source_city", "nodes.csv:5: 210100 stands here twice"),
    ],
)
def test_a_wrong_node_is_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load(tmp_path, nodes=NODES + line + "\n")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("quorum", "expected"),
    [
        ("trading,210000 219999,0.8", "quorum.csv:2: unknown node '219999' in required_nodes of trading"),
        ("trading,210000,80", "quorum.csv:2: min_share '80' is not a rate from 0 to 1"),
        ("hotline,210000,0.8", "quorum.csv: no line for the system trading"),
    ],
)
def test_a_wrong_quorum_is_named(tmp_path: Path, quorum: str, expected: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load(tmp_path, quorum=f"system,required_nodes,min_share\n{quorum}\n")
    assert expected in str(caught.value)


def test_a_node_has_one_connector_for_a_system(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="trading of node 210100 has more than one connector: http, postgres"):
        load(tmp_path, provisions=PROVISIONS + "trading,bid,210100,postgres,,daily,2022-01-01\n")


def test_another_header_or_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"provisions.csv:1: the header must be system,dataset,node_code"):
        load(tmp_path, provisions=PROVISIONS.replace("connector", "kind"))
    (tmp_path / "quorum.csv").unlink()
    with pytest.raises(RegistryError, match=r"quorum.csv: missing"):
        load_registry(tmp_path, datasets=["trading.lot"])


def test_asking_for_what_is_not_there_names_it(tmp_path: Path) -> None:
    registry = load(tmp_path)
    with pytest.raises(RegistryError, match="no node '219999'"):
        registry.provisions_of("trading", "219999")
    with pytest.raises(RegistryError, match="no system 'hotlin' in the registry; there are trading"):
        registry.provisions_of("hotlin")


FIGURES = """figure,system,published_value,unit,rule,cut_off,statement
lots,trading,38,types,equal,2024-08-15,38 types
rate,trading,96.5,percent,equal after rounding to 0.1,2023-06-26,completion rate
"""
EXPECTED = """figure,expected_value,basis
lots,38,published
rate,91.25,simulated
"""


def load_figures(root: Path, figures: str = FIGURES, expected: str = EXPECTED) -> Registry:
    (root / "published_figures.csv").write_text(figures, encoding="utf-8")
    (root / "figure_expectations.csv").write_text(expected, encoding="utf-8")
    return load(root)


def test_figures_are_compared_by_their_rule_or_exactly_with_a_simulated_province(tmp_path: Path) -> None:
    registry = load_figures(tmp_path)
    assert (registry.figures["rate"].step, registry.figures["lots"].step) == (Decimal("0.1"), None)
    assert registry.figures["rate"].cut_off == date(2023, 6, 26)
    assert registry.expectations["rate"].expected_value == Decimal("91.25")


def test_a_registry_need_not_have_figures(tmp_path: Path) -> None:
    assert load(tmp_path).figures == {}


@pytest.mark.parametrize(
    ("figures", "expected", "message"),
    [
        ("lost,trading,1,types,about,2024-08-15,x", "", "published_figures.csv:4: unknown rule 'about' of figure lost"),
        ("lost,trading,one,types,equal,2024-08-15,x", "", "published_figures.csv:4: published_value 'one' of figure"),
        ("lost,trading,NaN,types,equal,2024-08-15,x", "", "published_value 'NaN' of figure lost is not a number"),
        ("lost,trading,1,types,equal,15 August,x", "", "published_figures.csv:4: cut_off '15 August' of figure lost"),
        ("lots,trading,1,types,equal,2024-08-15,x", "", "published_figures.csv:4: lots stands here twice"),
        ("new,trading,1,types,equal,2024-08-15,x", "", "figure_expectations.csv: no line for the figure new"),
        ("", "lost,1,published", "figure_expectations.csv:4: unknown figure 'lost'"),
        ("", "lots,2,guessed", "figure_expectations.csv:4: basis 'guessed' of figure lots is not one of"),
        ("", "lots,2,published", "the basis of figure lots is published, but 2 is not the published 38"),
        ("", "lots,many,simulated", "figure_expectations.csv:4: expected_value 'many' of figure lots is not a number"),
    ],
)
def test_a_wrong_figure_is_named_with_file_and_line(tmp_path: Path, figures: str, expected: str, message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load_figures(tmp_path, FIGURES + figures + "\n" * bool(figures), EXPECTED + expected + "\n" * bool(expected))
    assert message in str(caught.value)
