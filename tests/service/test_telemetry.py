from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry import MOST_FEATURES, DriftFigures, Stability, Telemetry, WorkersTelemetry


def shown(telemetry: Telemetry) -> dict[tuple[str, ...], float]:
    """Every sample of stability, by name and labels."""
    families = text_string_to_metric_families(generate_latest(telemetry.registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name, *sample.labels.values()): sample.value
        for sample in samples
        if "drift" in sample.name or "stability" in sample.name
    }


def figures(*features: str, alarms: int = 0) -> DriftFigures:
    score = [Stability(None, of, 0.02, 900.0) for of in ("signup", "later")]
    measured = [
        Stability(name, of, 1.0 / (i + 1), 900.0) for i, name in enumerate(features) for of in ("signup", "later")
    ]
    return DriftFigures(1_700_000_000_000_000, 0.25, 1_800, alarms, [*measured, *score])


def test_nothing_is_shown_before_anything_was_measured() -> None:
    assert shown(Telemetry()) == {}


def test_the_score_and_the_worst_features_have_a_figure() -> None:
    telemetry = Telemetry()
    telemetry.show_drift(figures("plan", "requests_7d", alarms=1))
    found = shown(telemetry)
    assert found["gatehouse_score_stability", "signup"] == 0.02
    assert found["gatehouse_feature_stability", "plan", "later"] == 1.0
    assert found["gatehouse_drift_alarms",] == 1
    assert found["gatehouse_drift_rows",] == 1_800
    assert found["gatehouse_drift_accounts", "later"] == 900
    assert found["gatehouse_drift_measured_at_seconds",] == 1_700_000_000


def test_however_many_features_there_are_a_few_have_a_series_and_those_of_before_go() -> None:
    telemetry = Telemetry()
    for turn in range(3):
        telemetry.show_drift(figures(*(f"feature_{turn}_{i}" for i in range(250))))
    found = shown(telemetry)
    features = {labels[1] for labels in found if labels[0] == "gatehouse_feature_stability"}
    assert features == {f"feature_2_{i}" for i in range(MOST_FEATURES)}
    assert len(found) == 2 * MOST_FEATURES + 8


def test_what_workers_show_comes_together_unchanged_but_for_whose_it_is() -> None:
    workers = [Telemetry(), Telemetry()]
    for number, worker in enumerate(workers):
        for _ in range(number + 2):
            worker.rpc_started("/a/b")
            worker.rpc_finished("/a/b", "OK", 0.02)
    workers[0].show_drift(figures("plan"))
    texts = {number: generate_latest(worker.registry).decode() for number, worker in enumerate(workers)}
    whole = generate_latest(WorkersTelemetry(lambda: 2, lambda: 5, lambda: texts).registry).decode()
    lines = [line for line in whole.splitlines() if "_created" not in line]
    assert len([line for line in lines if line.startswith("# TYPE gatehouse_rpc_seconds ")]) == 1
    assert 'gatehouse_rpc_ended_total{code="OK",method="/a/b",worker="0"} 2.0' in lines
    assert 'gatehouse_rpc_ended_total{code="OK",method="/a/b",worker="1"} 3.0' in lines
    assert 'gatehouse_rpc_seconds_bucket{le="0.025",method="/a/b",worker="1"} 3.0' in lines
    assert 'gatehouse_drift_rows{worker="0"} 1800.0' in lines
    assert not [line for line in lines if line.startswith("gatehouse_drift") and 'worker="1"' in line]
    assert "gatehouse_workers_ready 2.0" in lines
    assert "gatehouse_worker_restarts_total 5.0" in lines
    each = sum(len(re.findall(r"^gatehouse", text, re.MULTILINE)) for text in texts.values())
    assert len(re.findall(r"^gatehouse", whole, re.MULTILINE)) == each + 2


def test_alerts_ask_for_figures_that_there_are() -> None:
    telemetry = Telemetry()
    telemetry.rpc_started("/a/b")
    telemetry.rpc_finished("/a/b", "OK", 0.1)
    telemetry.show_drift(figures("plan"))
    known = set(re.findall(r"^gatehouse_\w+", generate_latest(telemetry.registry).decode(), re.MULTILINE))
    rules = (Path(__file__).parents[2] / "deploy" / "alerts.yml").read_text(encoding="utf-8")
    asked = set(re.findall(r"gatehouse_\w+", rules))
    assert len(asked) >= 4
    assert asked <= known
