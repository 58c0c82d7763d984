"""`make audit`: known vulnerabilities of what the locks install. Exit codes: 0 none, 1 some, 3 could not be looked up.

"None known" is only said when every package was looked up: pip-audit itself ends with 0 when it skipped all of them.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLEAN, VULNERABLE, NOT_LOOKED_UP = 0, 1, 3
SECONDS = 600


def main(locks: list[Path]) -> int:
    """Audit lock files, one after the other (pip-audit takes no package twice), and say what came of each."""
    codes = []
    for lock in locks:
        code, said = audited(lock)
        named = f"{lock.name}: " if len(locks) > 1 else ""
        print(f"{named}{said}", file=sys.stdout if code == CLEAN else sys.stderr)
        codes.append(code)
    return min(filter(None, codes), default=CLEAN)


def audited(lock: Path) -> tuple[int, str]:
    """What pip-audit says of a lock file: code and words."""
    command = [
        str(Path(sys.executable).parent / "pip-audit"), "--requirement", str(lock), "--require-hashes", "--disable-pip",
        "--format", "json", "--progress-spinner", "off", "--timeout", "10",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return NOT_LOOKED_UP, f"NOT AUDITED: the advisory service did not answer within {SECONDS} s"
    return verdict(done.stdout, done.stderr)


def verdict(report: str, errors: str) -> tuple[int, str]:
    """What pip-audit's report (JSON; empty when it broke off) means."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        return NOT_LOOKED_UP, f"NOT AUDITED: the advisory service can't be reached from here ({last[:300]})"
    found = [(one, hole) for one in packages for hole in one.get("vulns", [])]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one, hole in found
    ]
    if skipped:
        lines.append(
            f"NOT AUDITED: {len(skipped)} of {len(packages)} packages could not be looked up, such as {skipped[0]}: the"
            " advisory service can't be reached from here, or does not know them"
        )
    if not lines:
        return CLEAN, f"{len(packages)} packages looked up, no known vulnerability"
    return (VULNERABLE if found else NOT_LOOKED_UP), "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main([Path(one) for one in sys.argv[1:]] or sorted((ROOT / "requirements").glob("*lock.txt"))))
