"""The survey of reconstructions: what counts as one, what is told of refusals and of extra vertebrae."""

from orchestration.pipeline.survey import survey_reconstructions
from spine.reconstruction.meshes import write_mesh
from tests.spine.reconstruction.constructed_meshes import spine_meshes
from tests.spine.reconstruction.test_tables import centroids, halves, markups

TWO_EXTRA = (*range(8, 20), 28, *range(20, 26))


def test_extra_vertebrae_are_named_and_counted(tmp_path):
    (tmp_path / "a_ctd.json").write_text(centroids(TWO_EXTRA, zoom=[1, 1, 1]))
    (tmp_path / "b_ctd.json").write_text(centroids(range(8, 26), zoom=[1, 1, 1]))
    counts = survey_reconstructions([tmp_path]).counts
    assert counts["T13: thirteenth thoracic vertebra (transitional?)"] == "1"
    assert counts["L6: sixth lumbar vertebra (transitional?)"] == "2"


def test_a_refusal_is_told_with_its_reason_and_without_the_name_of_the_file(tmp_path):
    (tmp_path / "Jane Doe.json").write_text('{"points": 1' + "0" * 400 + "}")
    (tmp_path / "Jane Doe.csv").write_text("level;name\nT1;" + "x" * 200_000)
    survey = survey_reconstructions([tmp_path])
    assert survey.counts["refused: FORMAT_UNKNOWN"] == "2"
    assert "Jane" not in str(survey)
    assert survey.refusals["FORMAT_UNKNOWN"].startswith("FORMAT_UNKNOWN: found ")


def test_the_meshes_of_a_folder_are_one_reconstruction(tmp_path):
    for name, mesh in spine_meshes().items():
        write_mesh(tmp_path / f"{name}.stl", mesh.vertices, mesh.faces)
    (tmp_path / "notes.txt").write_text("nothing of interest")
    counts = survey_reconstructions([tmp_path]).counts
    assert (counts["files"], counts["read"], counts["format bone-meshes"]) == ("20", "1", "1")


def test_point_lists_are_joined_only_as_one_study(tmp_path):
    for name, points in zip(("spine", "pelvis"), halves(), strict=True):
        (tmp_path / f"{name}.mrk.json").write_text(markups(points))
    joined = survey_reconstructions([tmp_path], one_study=True).counts
    assert (joined["files"], joined["read"]) == ("2", "1")
    assert survey_reconstructions([tmp_path]).counts["refused: TOO_FEW_POINTS"] == "1"
