"""A Release as a few lines of plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_release(release: Mapping[str, Any]) -> str:
    """Title, numbers and guarantee of a Release."""
    result = release["result"]
    kinds = {"kaplan-meier": _kaplan_meier, "cox": _cox, "histogram": _histogram, "mean": _mean}
    lines = kinds.get(result["kind"], _other)(result)
    if result.get("bounding"):
        lines.append(f"  {result['bounding']['statement']}")
    sites = f"{len(release['sites'])} sites, {release['rounds']} round(s), {release['seconds']:.1f} s"
    return "\n".join([f"{result['title']} ({sites})", *lines, f"  {release['guarantee']['statement']}"])


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _kaplan_meier(result: Mapping[str, Any]) -> list[str]:
    grid, unit = result["grid"], result["time"]["unit"]
    late = min(range(len(grid)), key=lambda index: abs(grid[index] - 720)) if grid else 0
    lines = [f"  {'group':<22}{'patients':>9}{'events':>8}{'median':>9}   survival at {grid[late]:g} {unit}"]
    for arm in result["arms"]:
        interval = f"{_number(arm['lower'][late])} to {_number(arm['upper'][late])}"
        lines.append(
            f"  {arm['label']:<22}{arm['patients']:>9}{arm['events']:>8}{_number(arm['median'], 'g'):>9}"
            f"   {_number(arm['survival'][late])} ({interval})"
        )
    if result["log_rank"]:
        test = result["log_rank"]
        lines.append(f"  log-rank: chi-square {test['statistic']:.3f} on {test['degrees']}, p = {test['p']:.2g}")
    return lines


def _cox(result: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'term':<34}{'hazard ratio':>13}   95 % interval        p"]
    for term in result["terms"]:
        interval = f"{_number(term['lower'])} to {_number(term['upper'])}"
        ratio, p = _number(term["hazard_ratio"], ".4f"), _number(term["p"], ".2g")
        lines.append(f"  {term['label'][:33]:<34}{ratio:>13}   {interval:<18}{p:>7}")
    return lines


def _histogram(result: Mapping[str, Any]) -> list[str]:
    lines = [f"  {'cell':<30}{'count':>8}   95 % interval of the noise"]
    lines += [
        f"  {cell['label']:<30}{cell['shown']:>8g}   {cell['lower']:.1f} to {cell['upper']:.1f}"
        for cell in result["cells"]
    ]
    return lines


def _mean(result: Mapping[str, Any]) -> list[str]:
    mean, column = result["mean"], result["column"]
    share = f"{result['confidence'] * 100:g} %"
    value = "the noise hides it" if mean["value"] is None else f"{mean['value']:.4g} {column['unit']}".rstrip()
    return [
        f"  {column['label'] or column['column']}: {value}",
        f"  {share} interval of noise and sampling: {mean['lower']:.4g} to {mean['upper']:.4g}",
        f"  about {result['patients']['shown']:,} patients with a value",
    ]


def _other(result: Mapping[str, Any]) -> list[str]:
    return [f"  {key}: {value}" for key, value in result.items() if not isinstance(value, list | dict)]
