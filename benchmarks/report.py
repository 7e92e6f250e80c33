"""What a run found out: the table for people, and the same figures as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.platform.clock import rfc3339, utcnow
from app.platform.embedded import find_server


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    shown = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "at": rfc3339(utcnow()),
        "cores": os.cpu_count(),
        "memoryGb": round(memory_kb / 1e6, 1),
        "python": platform.python_version(),
        "server": " ".join(shown.split()[:3]),
        "system": f"{platform.system()} {platform.machine()}",
        "loadBefore": round(os.getloadavg()[0], 2),
    }


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass
class Measured:
    """All rounds of one figure; the median counts."""

    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def text(self) -> str:
        """The median, and from where to where the rounds went."""
        low, high = min(self.rounds), max(self.rounds)
        return f"{number(self.median)} ({number(low)}–{number(high)})"


class Report:
    """Figures by section and name, in the order in which they came."""

    def __init__(self) -> None:
        self.machine = machine()
        self._figures: dict[tuple[str, str], Measured] = {}
        self._notes: list[str] = []

    def add(self, section: str, name: str, value: float, unit: str) -> None:
        """One round's value."""
        self._figures.setdefault((section, name), Measured(unit)).rounds.append(value)

    def note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def figure(self, section: str, name: str) -> Measured | None:
        return self._figures.get((section, name))

    def ratio(self, section: str, name: str, over: str) -> float | None:
        """One median over another."""
        above, below = self.figure(section, name), self.figure(section, over)
        return None if above is None or below is None or below.median == 0 else above.median / below.median

    def sections(self) -> list[str]:
        return list(dict.fromkeys(section for section, _ in self._figures))

    def show(self, console: Console, comparisons: Iterable[tuple[str, str, str]]) -> None:
        """The tables; `comparisons` are rows of what is compared, its ratio, and the goal."""
        for section in self.sections():
            table = Table(title=section, title_justify="left", title_style="bold")
            table.add_column("figure")
            table.add_column("median (lowest–highest)", justify="right")
            table.add_column("unit")
            for (at, name), measured in self._figures.items():
                if at == section:
                    table.add_row(name, measured.text(), measured.unit)
            console.print(table)
        table = Table(title="Compared, and the goals", title_justify="left", title_style="bold")
        for heading in ("comparison", "ratio", "goal"):
            table.add_column(heading)
        for row in comparisons:
            table.add_row(*row)
        console.print(table)
        for text in self._notes:
            console.print(f"- {text}", highlight=False)

    def write(self, file: Path, command: str, comparisons: Iterable[tuple[str, str, str]]) -> None:
        """As JSON."""
        figures = [
            {"section": section, "name": name, "unit": m.unit, "median": m.median, "rounds": m.rounds}
            for (section, name), m in self._figures.items()
        ]
        content = {
            "machine": self.machine,
            "command": command,
            "figures": figures,
            "comparisons": [dict(zip(("what", "ratio", "goal"), row, strict=True)) for row in comparisons],
            "notes": self._notes,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n")


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
