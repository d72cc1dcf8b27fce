from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.errors import ArtefactProblem
from service.model.artefact import (
    Artefact,
    Manifest,
    _seal,
    check_fingerprint,
    make_artefact,
    read_artefact,
    write_artefact,
)


@pytest.fixture
def written(artefact: Artefact, tmp_path: Path) -> Path:
    directory = tmp_path / "models" / "m-test"
    write_artefact(artefact, directory)
    return directory


def test_what_is_written_is_read_back_whole(artefact: Artefact, written: Path) -> None:
    assert read_artefact(written, manifest_sha256=artefact.manifest_sha256) == artefact
    assert sorted(path.name for path in written.iterdir()) == ["booster.txt", "manifest.json"]


def test_writing_leaves_nothing_beside_the_directory(written: Path) -> None:
    assert [path.name for path in written.parent.iterdir()] == ["m-test"]


def test_writing_the_same_model_again_changes_nothing(artefact: Artefact, written: Path) -> None:
    before = (written / "booster.txt").stat().st_mtime_ns
    write_artefact(artefact, written)
    assert (written / "booster.txt").stat().st_mtime_ns == before


def test_another_model_never_overwrites_one_that_is_there(artefact: Artefact, written: Path) -> None:
    other = make_artefact(replace(artefact.manifest, code_version="1"), artefact.booster)
    with pytest.raises(ArtefactProblem, match="holds another model already"):
        write_artefact(other, written)
    assert read_artefact(written) == artefact


def test_a_missing_directory_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ArtefactProblem, match=r"no model directory .*nowhere; train again"):
        read_artefact(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["booster.txt", "manifest.json"])
def test_a_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(ArtefactProblem, match=rf"{name} is missing; train again"):
        read_artefact(written)


@pytest.mark.parametrize("kept", [0, 1, 100, 5_000])
def test_a_truncated_booster_is_refused(written: Path, kept: int) -> None:
    path = written / "booster.txt"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtefactProblem, match=r"booster\.txt is truncated or altered"):
        read_artefact(written)


@pytest.mark.parametrize("kept", [0, 1, 100, -3])
def test_a_truncated_manifest_is_refused(written: Path, kept: int) -> None:
    path = written / "manifest.json"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtefactProblem, match=r"manifest\.json is truncated or not JSON"):
        read_artefact(written)


def test_a_booster_with_one_changed_digit_is_refused(written: Path) -> None:
    path = written / "booster.txt"
    text = path.read_text()
    place = text.index("leaf_value=") + len("leaf_value=") + 4
    path.write_text(text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :])
    with pytest.raises(ArtefactProblem, match=r"booster\.txt is truncated or altered"):
        read_artefact(written)


def test_a_manifest_with_a_changed_threshold_is_refused_even_where_no_registry_knows_it(written: Path) -> None:
    path = written / "manifest.json"
    body = json.loads(path.read_text())
    body["policy"] = {"thresholds": {"block": 0.01}}
    path.write_text(json.dumps(body))
    with pytest.raises(ArtefactProblem, match=r"manifest\.json was altered"):
        read_artefact(written)


def test_a_manifest_sealed_anew_is_still_not_the_one_that_was_registered(artefact: Artefact, written: Path) -> None:
    forged = make_artefact(replace(artefact.manifest, metrics={"roc_auc": 1.0}), artefact.booster)
    (written / "manifest.json").write_text(forged.manifest_text)
    assert read_artefact(written) == forged
    with pytest.raises(ArtefactProblem, match="not the manifest that was registered"):
        read_artefact(written, manifest_sha256=artefact.manifest_sha256)


def test_a_booster_that_is_not_text_is_refused(written: Path) -> None:
    (written / "booster.txt").write_bytes(b"\xff\xfe\x00pickle")
    with pytest.raises(ArtefactProblem, match=r"booster\.txt is not text"):
        read_artefact(written)


def test_a_manifest_of_another_format_says_which(artefact: Artefact) -> None:
    body = json.loads(artefact.manifest_text)
    body["format"] = 99
    with pytest.raises(ArtefactProblem, match="format 99 and this version reads 1"):
        Manifest.parse(json.dumps(body))


@pytest.mark.parametrize("text", ["[]", "null", "{}", '"text"', "{"])
def test_json_that_is_not_a_manifest_is_refused(text: str) -> None:
    with pytest.raises(ArtefactProblem):
        Manifest.parse(text)


def test_a_model_for_other_features_is_refused_with_both_fingerprints(artefact: Artefact) -> None:
    check_fingerprint(artefact.manifest, "feedfacefeedface")
    with pytest.raises(ArtefactProblem, match=r"feedfacefeedface.*0000000000000000"):
        check_fingerprint(artefact.manifest, "0" * 16)


def test_a_manifest_from_before_there_were_references_is_as_good_as_ever(artefact: Artefact) -> None:
    assert "reference" not in json.loads(artefact.manifest_text)
    assert Manifest.parse(artefact.manifest_text).reference == {}


def test_a_reference_is_kept_and_sealed(artefact: Artefact, tmp_path: Path) -> None:
    made = make_artefact(replace(artefact.manifest, reference={"ages": [0]}), artefact.booster)
    write_artefact(made, tmp_path / "m")
    assert read_artefact(tmp_path / "m").manifest.reference == {"ages": [0]}
    path = tmp_path / "m" / "manifest.json"
    path.write_text(path.read_text().replace('"ages": [\n      0', '"ages": [\n      1'))
    with pytest.raises(ArtefactProblem, match="altered"):
        read_artefact(tmp_path / "m")


def test_a_reference_that_is_no_object_is_refused(artefact: Artefact) -> None:
    made = make_artefact(artefact.manifest, artefact.booster)
    body = {**json.loads(made.manifest_text), "reference": [1]}
    del body["seal"]
    with pytest.raises(ArtefactProblem, match="lacks 'reference'"):
        Manifest.parse(json.dumps({**body, "seal": _seal(body)}))
