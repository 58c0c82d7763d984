"""Check characters against another implementation of the same standards."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_37_2

from simulator.codes import USCC, with_mod_37_2, with_organisation_check, with_resident_check, with_uscc_check
from simulator.trading.cohort import deal_codes
from simulator.trading.world import world

UPPER = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@given(st.lists(st.text(UPPER, min_size=35, max_size=35), min_size=1, max_size=20))
def test_mod_37_2_is_that_of_iso_7064(bodies: list[str]) -> None:
    for body, whole in zip(bodies, with_mod_37_2(bodies).astype(str), strict=True):
        assert whole == body + mod_37_2.calc_check_digit(body)


@given(st.lists(st.text(USCC.decode(), min_size=17, max_size=17), min_size=1, max_size=20))
def test_the_check_of_a_credit_code_is_that_of_gb_32100(bodies: list[str]) -> None:
    for body, whole in zip(bodies, with_uscc_check(bodies).astype(str), strict=True):
        assert whole == body + uscc.calc_check_digit(body)


@given(st.lists(st.text("0123456789", min_size=17, max_size=17), min_size=1, max_size=20))
def test_the_check_of_a_resident_number_is_that_of_gb_11643(bodies: list[str]) -> None:
    for whole in with_resident_check(bodies).astype(str):
        assert whole[-1] == ric.calc_check_digit(whole)


@pytest.mark.parametrize("code", ["600037341", "710924945"])
def test_the_check_of_an_organisation_code_is_that_of_real_ones(code: str) -> None:
    assert with_organisation_check([code[:8]]).astype(str).tolist() == [code]


def test_a_letter_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match="alphabet"):
        with_uscc_check(["91210100MA123456I"])


def test_deal_codes_have_the_form_of_the_standard() -> None:
    codes = deal_codes(
        np.array(["A01", "Z99"]),
        np.array(["91110000600037341L"] * 2),
        np.array([19000, 19001]),
        np.array([7, 1_000_008]),
    )
    assert codes[0].startswith("A01-91110000600037341L-20220108-000007-")
    assert codes[1].startswith("Z99-91110000600037341L-20220109-000008-")
    assert all(mod_37_2.is_valid(code.replace("-", "")) for code in codes)


def test_all_organisations_have_valid_and_distinct_codes() -> None:
    pools = world(3, 0.02)
    codes = pl.concat([pools.bidder_code, pools.tenderer_code, pools.agency_code])
    assert codes.n_unique() == len(codes)
    for code in codes:
        assert uscc.calc_check_digit(code) == code[-1]
        assert len(code) == 18
        assert not set(code) & set("IOSVZ")
    letters = {code[0] for code in pools.tenderer_code}
    assert "N" in letters, "rural collectives have codes that begin with N"
