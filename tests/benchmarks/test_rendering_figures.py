"""Memory figures of the rendering benchmark from samples with known answers."""

from PIL import Image

from benchmarks.rendering import Sample, draw_memory, peak_until

SAMPLES = [Sample(n, 800.0 + n % 7, 380.0, 40.0) for n in range(0, 400, 10)] + [Sample(400, 40.0, 0.0, 40.0)]


def test_the_peak_is_the_largest_sample_up_to_a_number_of_patients():
    samples = [Sample(10, 500.0, 0, 0), Sample(90, 700.0, 0, 0), Sample(101, 900.0, 0, 0), Sample(300, 600.0, 0, 0)]
    assert [peak_until(samples, n) for n in (10, 100, 300)] == [500.0, 700.0, 900.0]


def test_the_curve_is_written_as_an_image(tmp_path):
    draw_memory(SAMPLES, tmp_path / "deep" / "memory.png")
    with Image.open(tmp_path / "deep" / "memory.png") as image:
        assert image.size[0] > 600
