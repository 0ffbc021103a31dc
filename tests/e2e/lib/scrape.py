"""/metrics, read by Prometheus' own parsers in both forms."""

import math

from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Scrape:
    """One reading: its families by name, and its samples by name and labels."""

    def __init__(self, web, open_metrics=False):
        status, self.headers, self.text = web.ask("/metrics", **({"Accept": OPEN_METRICS} if open_metrics else {}))
        assert status == 200, self.text
        parse = (open_parser if open_metrics else parser).text_string_to_metric_families
        families = list(parse(self.text))
        self.families = {family.name: family for family in families}
        assert len(self.families) == len(families), "a metric is told twice"
        self.samples = {}
        for family in families:
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"told twice: {key}"
                self.samples[key] = sample.value

    def value(self, name, **labels):
        """The one value with these labels and no others, or None."""
        return self.samples.get((name, frozenset(labels.items())))

    def all(self, name, **labels):
        """By their other labels, the values of all samples that have these."""
        wanted = set(labels.items())
        return {tuple(value for _, value in sorted(set(key) - wanted)): number
                for (found, key), number in self.samples.items() if found == name and wanted <= set(key)}  # fmt: skip

    def histogram(self, name, **labels):
        return Histogram(self, name, labels)


class Histogram:
    """One histogram; what must hold for every one is checked when it is read."""

    def __init__(self, scrape, name, labels):
        found = scrape.all(f"{name}_bucket", **labels)
        self.buckets = sorted((math.inf if bound == "+Inf" else float(bound), count) for (bound,), count in found.items())
        self.count = scrape.value(f"{name}_count", **labels)
        self.sum = scrape.value(f"{name}_sum", **labels)
        counts = [count for _, count in self.buckets]
        assert len(counts) == 22 and counts == sorted(counts), self.buckets
        assert self.buckets[-1] == (math.inf, self.count)
        assert self.buckets[0][0] == 0.00005 and math.isclose(self.buckets[-2][0], 52.4288)
        self.check_sum()

    def check_sum(self):
        """The sum is what the buckets allow."""
        lowest = highest = below = bound_below = 0
        for bound, count in self.buckets:
            lowest += (count - below) * bound_below
            highest += (count - below) * bound if count > below else 0
            below, bound_below = count, bound
        assert lowest <= self.sum <= highest, (lowest, self.sum, highest)

    def longer_than(self, seconds):
        """How many are surely in buckets above this time."""
        return self.count - min(count for bound, count in self.buckets if bound >= seconds)
