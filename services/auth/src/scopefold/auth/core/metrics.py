"""What is counted, in the text format that collectors of metrics read (Prometheus exposition format 0.0.4)."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "scopefold_"


class Metric(Struct, frozen=True):
    """One thing that is counted. `values` are by the label's value; without a label, the one value is by ""."""

    name: str
    told: str
    kind: Literal["counter", "gauge"]
    values: Mapping[str, int]
    label: str = ""


def text_of(metrics: Sequence[Metric]) -> str:
    """All of them, each with what it means. Values of labels stand in order, so that equal counts give equal texts."""
    return "".join(line + "\n" for one in metrics for line in _lines(one))


def _lines(metric: Metric) -> list[str]:
    name = PREFIX + metric.name
    values = [
        f'{name}{{{metric.label}="{_quoted(value)}"}} {count}' if metric.label else f"{name} {count}"
        for value, count in sorted(metric.values.items())
    ]
    return [f"# HELP {name} {metric.told}", f"# TYPE {name} {metric.kind}", *values]


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
