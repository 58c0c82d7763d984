"""Rules that hold for what arrives in a night whatever the dataset; a suite file sets their bounds."""

from typing import Any

from yingshang.quality.marks import expectations_module, stop, warn


def arrivals(
    *,
    full_reread_least: float = 0.6,
    flood_stop: float = 200,
    deleted_most: float = 0.5,
    unknown_types_most: float | None = None,
    newest_age_days: float = 3,
) -> list[Any]:
    """Volume against history, freshness, drift and codes. The bounds are generous: a usual night passes.

    Args:
        full_reread_least: least rows of a full re-read, a re-sent drop or a replacement, as a share of what was there.
        flood_stop: most rows per day, as a multiple of the provision's usual number.
        deleted_most: most deletions, as a share of all rows the provision ever delivered.
        unknown_types_most: share of rows whose source code of the transaction type maps to nothing; None where records
            have no such code.
        newest_age_days: how old the newest row may be by the source's clock when it arrives; the contract's latency.
    """
    gxe = expectations_module()
    between = gxe.ExpectColumnValuesToBeBetween
    of_types = []
    if unknown_types_most is not None:
        reason = "transaction types that map to nothing become 'unknown': extend the seed deal_type_map"
        of_types = [between(column="unknown_type_share", max_value=unknown_types_most, **warn(reason))]
    return [
        between(
            column="uncounted_rows",
            min_value=0,
            max_value=0,
            **stop("raw holds the rows that the ledger says it loaded"),
        ),
        between(
            column="full_reread_ratio",
            min_value=full_reread_least,
            **stop("a full re-read of the same bounds does not lose a large part of the dataset"),
        ),
        between(column="full_reread_ratio", min_value=0.9, **warn("a full re-read of the same bounds keeps its rows")),
        between(
            column="window_reread_ratio",
            min_value=0.5,
            **warn("a window read again keeps most rows; on a living source some have moved on to later windows"),
        ),
        between(
            column="resend_ratio",
            min_value=full_reread_least,
            **stop("a re-sent drop would hide the drop it supersedes, and has far fewer rows"),
        ),
        between(
            column="replacement_ratio",
            min_value=full_reread_least,
            **stop("a replacement would hide what it replaces, and has far fewer rows"),
        ),
        between(column="resend_ratio", min_value=0.9, **warn("a re-sent drop has the rows of the drop it supersedes")),
        between(
            column="flood_ratio",
            max_value=flood_stop,
            **stop("far more rows per day than ever: the source has re-stamped its table, or sends another's"),
        ),
        between(column="flood_ratio", max_value=flood_stop / 10, **warn("many more rows per day than usual")),
        between(column="drought_ratio", min_value=0.05, **warn("many fewer rows per day than usual")),
        between(
            column="deleted_share_of_known",
            max_value=deleted_most,
            **stop("a mass deletion: confirm it with the node before it empties the marts"),
        ),
        between(column="duplicate_share", max_value=0.5, **warn("most rows of the batch are identical to another one")),
        between(
            column="cursor_ahead_hours",
            max_value=2,
            **stop("no cursor is more than 2 hours ahead of the source's clock"),
        ),
        between(
            column="newest_age_days", max_value=newest_age_days, **warn("rows come later than the contract allows")
        ),
        between(
            column="drop_age_days", max_value=newest_age_days, **warn("a drop comes later than the contract allows")
        ),
        between(column="clock_behind_night_days", max_value=1, **warn("the source's clock stands before this night")),
        *of_types,
        gxe.ExpectColumnValuesToBeNull(
            column="lost_columns", **stop("columns that this node used to fill are empty in the whole batch")
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="drift", value_set=["{}"], **warn("the source's columns are not those of the contract")
        ),
    ]
