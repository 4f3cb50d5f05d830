"""The figures of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.open_loop import Latencies, OpenLoop
from benchmarks.usage import Usage


@dataclass(frozen=True, slots=True)
class Report:
    """`failures` are requests by what became of them, `seconds` is how long the load lasted;
    `before` and `after` are the server's."""

    title: str
    load: OpenLoop
    latencies: Latencies
    failures: Mapping[str, int]
    seconds: float
    before: Usage
    after: Usage

    def __str__(self) -> str:
        arrived = self.latencies.arrived
        cpu = self.after.cpu - self.before.cpu
        return "\n".join(
            (
                self.title,
                f"  arrived      {len(arrived)}, missing {self.latencies.missing}",
                f"  failed       {_counts(self.failures)}",
                f"  rate         {len(arrived) / self.seconds:.1f}/s",
                f"  latency      {milliseconds(arrived)}",
                f"  client late  {milliseconds(self.load.late)}",
                f"  server CPU   {100 * cpu / self.seconds:.0f} % of a core",
                f"  server RSS   {self.before.mebibytes} before, {self.after.mebibytes} after",
                f"  machine      load {self.before.load:.1f} before, {self.after.load:.1f} after",
            )
        )


def _counts(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in failures.items()) or "nothing"


def milliseconds(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nothing"
    ordered = sorted(seconds)
    shown = {f"p{percent}": percentile(ordered, percent) for percent in (50, 95, 99)}
    shown["max"] = ordered[-1]
    return ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in shown.items())


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that `percent` of all are not above (nearest rank)."""
    return ordered[-(-len(ordered) * percent // 100) - 1]
