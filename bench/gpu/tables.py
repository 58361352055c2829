"""The results as Markdown: the parts, the targets, each part's numbers, and what failed."""

from __future__ import annotations

import textwrap
from typing import Any

FAILURES = 12  # that are listed of one part


def report(stored: dict[str, Any]) -> str:
    """Everything; the title of a dry run says that it is one."""
    dry = stored["environment"].get("dry run")
    title = f"A dry run of the GPU check, *{dry}*" if dry else "What the GPU showed"
    sections = [section(name, part) for name, part in stored["parts"].items()]
    return "\n\n".join([f"# {title}", summary(stored), *filter(None, sections)])


def summary(stored: dict[str, Any]) -> str:
    """The machine, the parts and the targets."""
    place = "\n".join(textwrap.wrap(measured_on(stored["environment"]), 120))
    targets = targets_table(stored["parts"])
    return "\n\n".join([place, parts_table(stored["parts"]), *([f"## Targets\n\n{targets}"] if targets else [])])


def measured_on(place: dict[str, Any]) -> str:
    """The machine in a few sentences."""
    gpu, before, after = place.get("gpu") or {}, place.get("before") or {}, place.get("after") or {}
    versions = ", ".join(f"{name} {version}" for name, version in place["versions"].items() if version)
    if dry := place.get("dry run"):
        text = f"{dry.capitalize()}, {place['date']}: no GPU took part, sizes are tiny, and times mean nothing; "
    else:
        card = f"{gpu['name']} ({gpu['memory.total']}), driver {gpu['driver_version']}" if gpu else "GPU unknown"
        text = f"Measured on {place['date']}: {card}, CUDA {place.get('cuda')}, "
    text += f"{place['cpu']} ({place['cores']} cores), Python {place['python']}, {versions}."
    if before and after:
        text += f" The clock of the multiprocessors was {before['clocks.sm']} before and {after['clocks.sm']} after, "
        text += f"memory at {after['clocks.memory']}, {after['temperature.gpu']} °C."
    return text


def parts_table(parts: dict[str, Any]) -> str:
    """A line for each part."""
    lines = ["| part | status | seconds | what it showed |", "| --- | --- | ---: | --- |"]
    for name, part in parts.items():
        lines.append(f"| {name} | {part['status']} | {part['seconds']:.0f} | {cell(shown(part))} |")
    return "\n".join(lines)


def one_line(name: str, part: dict[str, Any]) -> str:
    """A part's outcome for the terminal."""
    lines = [f"{name}: {part['status']} after {part['seconds']:.1f} s; {shown(part)}"]
    lines += [f"  failed: {c['name']}: {c['said']}" for c in part.get("checks", []) if not c["ok"]][:FAILURES]
    lines += [f"  {mark(t)}: {t['name']}: {number(t['value'])}, {t['needed']}" for t in part.get("targets", [])]
    return "\n".join(lines)


def shown(part: dict[str, Any]) -> str:
    """A part's numbers in a few words."""
    words = [part["title"]]
    checks, targets, facts = part.get("checks", []), part.get("targets", []), part.get("facts", {})
    if checks:
        words.append(f"{sum(check['ok'] for check in checks)} of {len(checks)} checks hold")
    if targets:
        words.append(f"{sum(target['met'] for target in targets)} of {len(targets)} targets met")
    words += [f"{name}: {number(value)}" for name, value in facts.items()]
    words += [part["error"]] if "error" in part else []
    return "; ".join(words)


def targets_table(parts: dict[str, Any]) -> str:
    """The table of all targets."""
    found = [target for part in parts.values() for target in part.get("targets", [])]
    lines = ["| target | measured | needed | |", "| --- | ---: | --- | --- |"]
    for target in found:
        cells = [cell(target["name"]), number(target["value"]), target["needed"], mark(target)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if found else ""


def section(name: str, part: dict[str, Any]) -> str:
    """A part's rows, remarks and failures, if it has any."""
    pieces = [rows_table(part.get("rows", []))]
    failed = [check for check in part.get("checks", []) if not check["ok"]]
    remarks = [f"- {check['name']} failed: {check['said']}" for check in failed[:FAILURES]]
    if len(failed) > FAILURES:
        remarks.append(f"- and {len(failed) - FAILURES} more failed")
    remarks += [f"- {note}" for note in part.get("notes", [])]
    pieces.append("\n".join(remarks))
    if part.get("output"):
        pieces.append(f"The end of its output:\n\n```\n{part['output'].strip()}\n```")
    pieces = [piece for piece in pieces if piece]
    return "\n\n".join([f"## {name}", *pieces]) if pieces else ""


def rows_table(rows: list[dict[str, Any]]) -> str:
    """Rows as one table: columns in the order in which they first come up."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("row", "rounds")))
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for row in rows:
        lines.append(f"| {cell(row['row'])} | {' | '.join(number(row.get(name)) for name in names)} |")
    return "\n".join(lines) if rows else ""


def mark(target: dict[str, Any]) -> str:
    """Whether a target is met; without a peer there is nothing to compare with."""
    return "pass" if target["met"] else "not measured" if target["value"] is None else "MISS"


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def number(value: Any) -> str:
    """A number with four significant digits, or what else it is."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return cell(str(value))
    if isinstance(value, int) or value != value or abs(value) == float("inf"):
        return f"{value:,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"
