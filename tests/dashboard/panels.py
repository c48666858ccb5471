"""What is asked for: the panels of tuning/grafana.json as Grafana would, and docs/metrics.md's alerts."""

import json
import re
from dataclasses import dataclass

# What Grafana puts in place of its variables. A window of five scrapes.
VARIABLES = {"$__rate_interval": "5s", "$instance": ".*"}


@dataclass(frozen=True)
class Target:
    """One expression of a panel; its name is what the legend says."""

    name: str
    expression: str
    legend: str

    def label(self, labels):
        """What the legend says of one series."""
        fill = lambda found: labels.get(found.group(1), "")
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", fill, self.legend).strip()


@dataclass(frozen=True)
class Panel:
    kind: str
    title: str
    grid: dict
    targets: list
    unit: str
    decimals: int
    stacked: bool
    most: float
    steps: list
    shows_name: bool

    @classmethod
    def read(cls, panel):
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        stacking = defaults.get("custom", {}).get("stacking", {})
        return cls(
            kind=panel["type"],
            title=panel["title"],
            grid=panel["gridPos"],
            targets=[target(each) for each in panel.get("targets", [])],
            unit=defaults.get("unit", "short"),
            decimals=defaults.get("decimals", 0),
            stacked=stacking.get("mode") == "normal",
            most=defaults.get("max"),
            steps=defaults.get("thresholds", {}).get("steps", []),
            shows_name=panel.get("options", {}).get("textMode") == "name",
        )


def target(target):
    legend = target["legendFormat"]
    return Target(legend or target["refId"], filled_in(target["expr"]), legend)


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


@dataclass(frozen=True)
class Dashboard:
    panels: list

    @classmethod
    def read(cls, path):
        panels = json.loads(path.read_text())["panels"]
        return cls([Panel.read(panel) for panel in panels])

    def names(self, family):
        """Whether a panel asks for a family of metrics."""
        word = re.compile(rf"\b{family}(_bucket|_sum|_count)?\b")
        return any(word.search(it.expression) for panel in self.panels for it in panel.targets)


def of_alerts(path):
    """The expressions in the first column of the table of what to look at."""
    lines = path.read_text().split("| look at | because |")[1].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        first = re.split(r"(?<!\\)\|", line)[1]
        rows += [found.replace("\\|", "|") for found in re.findall(r"`([^`]*uturn_[^`]*)`", first)]
    return rows
