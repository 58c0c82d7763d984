"""A message of dbt names what failed and where, and quotes no row."""

import pytest

from yingshang.publish.dbt_log import without_values

MODEL = "Database Error in model fct_issue (models/marts/fct_issue.sql)\n  "
PLACE = "\n  compiled code at target/run/fct_issue.sql"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('invalid input syntax for type integer: "王小明"', 'invalid input syntax for type integer: "…"'),
        ('invalid input syntax for type date: "a column "王小明" b"', 'invalid input syntax for type date: "…"'),
        ('invalid input syntax for type date: "王小明\n  DETAIL:  x"', 'invalid input syntax for type date: "…"'),
        ('value "13900001111" is out of range for type integer', 'value "…" is out of range for type integer'),
        ('invalid value "王小" for "YYYY"\n  DETAIL:  Value must be an integer.', 'invalid value "…"'),
        (
            'duplicate key value violates unique constraint "fct_issue_key"\n  DETAIL:  Key (title)=(王小明) exists.',
            'duplicate key value violates unique constraint "fct_issue_key"',
        ),
        (
            'null value in column "a" of relation "fct_issue" violates not-null constraint\n'
            "  DETAIL:  Failing row contains (王小明, null).",
            'null value in column "a" of relation "fct_issue" violates not-null constraint',
        ),
        ('column "b" does not exist\n  LINE 4: select b', 'column "b" does not exist'),
        ("division by zero", "division by zero"),
    ],
)
def test_names_stay_and_values_go(said: str, kept: str) -> None:
    assert without_values(MODEL + said + PLACE) == MODEL + kept + PLACE
    assert without_values(f"Postgres error: {said}") == f"Postgres error: {kept}"


def test_what_is_not_a_databases_word_stays_as_it_is() -> None:
    said = 'Compilation Error\n  Model "fct_a" depends on a node named "b"'
    assert without_values(said) == said
