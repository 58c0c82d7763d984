"""``python -m simulator``: make, serve and advance a simulated province."""

import argparse
import sys
from datetime import date
from pathlib import Path

import polars as pl

from simulator.books import ProvinceError
from simulator.control import API_FAULTS, FILE_FAULTS
from simulator.generate import DEFAULT_SCALE
from simulator.province import Province
from simulator.serving import Ports, serve, stop

EPILOG = "All data are synthetic: invented organisations, persons and amounts on real division codes."


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 refused with one line, 2 wrong use."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except ProvinceError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1


def _generate(given: argparse.Namespace) -> None:
    province = Province(
        given.state, seed=given.seed, scale=given.scale, profile=given.profile, has_canaries=given.canaries
    ).generate()
    rows = province.reads()["rows"].sum()
    print(
        f"generated {len(province.nodes())} nodes with {rows} rows up to the night of {province.night} in {given.state}"
    )


def _serve(given: argparse.Namespace) -> None:
    serve(
        given.state,
        Ports(given.api_port, given.sftp_port, given.pg_port),
        with_parent=given.with_parent,
        ready=lambda line: print(line, flush=True),
    )


def _advance(given: argparse.Namespace) -> None:
    province = Province(given.state)
    for _ in range(given.nights):
        night = province.advance()
        print(f"night of {night}: {province.reads(night)['rows'].sum()} rows delivered")


def _truth(given: argparse.Namespace) -> None:
    province = Province(given.state)
    night = given.night or province.night
    totals = province.truth(night).group_by("system", "dataset", maintain_order=True).agg(
        pl.col("live_keys", "deleted_keys", "amount_yuan", "held_keys", "held_amount_yuan").sum()
    )  # fmt: skip
    print(f"truth of the night of {night}; by node and class in {province.state / 'truth' / f'{night}.csv'}")
    print(totals.write_csv(), end="")


def _figures(given: argparse.Namespace) -> None:
    province = Province(given.state)
    print(province.figures(given.night).write_csv(), end="")


def _stop(given: argparse.Namespace) -> None:
    print("stopped" if stop(given.state) else "nothing to stop")


def _node(given: argparse.Namespace) -> None:
    province = Province(given.state)
    match given.what:
        case "down":
            province.node_down(given.node)
        case "up":
            province.node_up(given.node)
        case "right":
            province.clear_faults(given.node)
        case fault:
            province.set_fault(given.node, fault, given.times)
    print(f"{given.node}: {given.what}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__, epilog=EPILOG)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        found.add_argument("--state", type=Path, required=True, help="folder of books, drops, truth and secrets")
        found.set_defaults(run=run)
        return found

    generate = command("generate", _generate, "write a new province: its history up to 2024-08-13")
    generate.add_argument("--seed", type=int, default=1, help="same seed, same province (default 1)")
    generate.add_argument("--scale", type=float, default=DEFAULT_SCALE, help="1 = the published sizes (default 0.02)")
    generate.add_argument("--profile", choices=["tiny"], help="tiny: two cities, eight counties and the province")
    generate.add_argument("--canaries", action="store_true", help="plant invented persons, to see where they come out")
    serving = command("serve", _serve, "run PostgreSQL, API and SFTP until SIGTERM; prints one line when all are up")
    serving.add_argument("--api-port", type=int, default=0, help="0: the last one if free, else any (default)")
    serving.add_argument("--sftp-port", type=int, default=0, help="as --api-port")
    serving.add_argument("--pg-port", type=int, default=0, help="as --api-port")
    serving.add_argument("--with-parent", action="store_true", help="end when the process that started it ends")
    command("advance", _advance, "make the next night; works while serving").add_argument(
        "--nights", type=int, default=1, help="how many (default 1)"
    )
    for name, run, text in (
        ("truth", _truth, "print what is true after a night"),
        ("figures", _figures, "print the published figures as the books of a night give them"),
    ):
        command(name, run, text).add_argument("--night", type=date.fromisoformat, help="YYYY-MM-DD (default: the last)")
    command("stop", _stop, "end a province that is served")
    node = command("node", _node, "make a node refuse readers, misbehave, or behave again")
    node.add_argument("node", help="6-digit code")
    node.add_argument("what", choices=["down", "up", "right", *API_FAULTS, *FILE_FAULTS], help="right: lift all faults")
    node.add_argument(
        "--times", type=int, default=0, help="how often an API fault occurs (default: until it is lifted)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
